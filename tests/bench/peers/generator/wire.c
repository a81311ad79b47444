#define _GNU_SOURCE
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, BUFFER_BYTES = 8 << 20 };

struct batch {
    char data[BATCH][MESSAGE_MAX + 1];
    struct iovec places[BATCH];
    struct sockaddr_in addresses[BATCH];
    struct mmsghdr headers[BATCH];
};

static struct batch outgoing, incoming;
static int waiting, waiting_socket;

double wire_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void fail(const char *what) {
    perror(what);
    exit(2);
}

struct sockaddr_in wire_address(const char *text) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    int port = 0;
    if (sscanf(text, "%63[0-9.]:%d", host, &port) != 2 || inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
        ntohl(address.sin_addr.s_addr) >> 24 != 127) {
        fprintf(stderr, "%s is no port on loopback\n", text);
        exit(2);
    }
    address.sin_port = htons((uint16_t)port);
    return address;
}

int wire_open(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int size = BUFFER_BYTES, opened = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* Beyond the system's limit where we may, up to it otherwise. */
    if (setsockopt(opened, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(opened, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(opened, (struct sockaddr *)&address, sizeof address)) fail("bind");
    return opened;
}

static void point(struct batch *batch, int index, size_t length) {
    struct msghdr *header = &batch->headers[index].msg_hdr;
    batch->places[index] = (struct iovec){batch->data[index], length};
    *header = (struct msghdr){
        .msg_name = &batch->addresses[index],
        .msg_namelen = sizeof batch->addresses[index],
        .msg_iov = &batch->places[index],
        .msg_iovlen = 1,
    };
}

void wire_put(int socket, const char *message, int length, const struct sockaddr_in *to) {
    if (waiting && (waiting_socket != socket || waiting == BATCH)) wire_flush();
    waiting_socket = socket;
    memcpy(outgoing.data[waiting], message, (size_t)length);
    outgoing.addresses[waiting] = *to;
    point(&outgoing, waiting, (size_t)length);
    waiting++;
}

void wire_flush(void) {
    for (int done = 0; done < waiting;) {
        int sent = sendmmsg(waiting_socket, outgoing.headers + done, (unsigned)(waiting - done), 0);
        if (sent > 0) done += sent;
        else if (errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED) fail("sendmmsg");
    }
    waiting = 0;
}

int wire_drain(int socket, received *handle) {
    for (int i = 0; i < BATCH; i++) point(&incoming, i, MESSAGE_MAX);
    int count = recvmmsg(socket, incoming.headers, BATCH, MSG_DONTWAIT, 0);
    double at = wire_now();
    for (int i = 0; i < count; i++) {
        incoming.data[i][incoming.headers[i].msg_len] = 0;
        handle(socket, incoming.data[i], &incoming.addresses[i], at);
    }
    return count > 0 ? count : 0;
}
