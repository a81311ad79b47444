/* UDP sockets on loopback whose messages are sent and received in batches. */
#ifndef WIRE_H
#define WIRE_H

#include <netinet/in.h>

enum { MESSAGE_MAX = 4096 };

/* Takes a received message, which ends with a zero byte, and the time when it was read. */
typedef void received(int socket, char *message, const struct sockaddr_in *from, double at);

/* Seconds on a clock that only goes forward. */
double wire_now(void);

/* Parses `host:port`; ends the program unless the host is on loopback. */
struct sockaddr_in wire_address(const char *text);

/* Opens a socket on 127.0.0.1. */
int wire_open(int port);

/* Puts a message into the batch of a socket. */
void wire_put(int socket, const char *message, int length, const struct sockaddr_in *to);

/* Sends the batch. */
void wire_flush(void);

/* Hands over what is there, at most one batch; returns how many messages. */
int wire_drain(int socket, received *handle);

#endif
