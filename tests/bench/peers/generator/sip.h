/* As much of SIP as a phone that is only ever spoken to by well-behaved servers needs. */
#ifndef SIP_H
#define SIP_H

/* Text that grows in a buffer of MESSAGE_MAX bytes. */
struct text {
    char *data;
    int length;
};

/* Appends, like printf. */
void sip_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends the session description with its Content-Type and Content-Length. */
void sip_add_sdp(struct text *text);

/* Appends `Content-Length: 0`. */
void sip_add_no_body(struct text *text);

/* Appends Route headers: the Record-Routes of a response, the last one first. */
void sip_add_routes(struct text *text, const char *response);

/* Appends the Authorization that answers the challenge of a 401; returns 0 where it has none. */
int sip_add_authorization(struct text *text, const char *response, const char *user, const char *password,
                          const char *uri);

/* Appends the status line and the headers that a response takes from its request. */
void sip_add_response(struct text *text, const char *status, const char *request);

/* Returns the value of the first header of that name, or NULL. */
const char *sip_header(const char *message, const char *name, int *length);

#endif
