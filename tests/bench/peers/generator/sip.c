#define _GNU_SOURCE
#include "sip.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "md5.h"
#include "wire.h"

enum { ROUTES_MAX = 8, VALUE_MAX = 256 };

static const char SDP[] =
    "v=0\r\no=bench 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n";

void sip_add(struct text *text, const char *format, ...) {
    va_list arguments;
    int space = MESSAGE_MAX - text->length;
    va_start(arguments, format);
    int added = vsnprintf(text->data + text->length, (size_t)space, format, arguments);
    va_end(arguments);
    if (added >= space) {
        fprintf(stderr, "a message would be longer than %d bytes\n", MESSAGE_MAX);
        exit(2);
    }
    text->length += added;
}

void sip_add_sdp(struct text *text) {
    sip_add(text, "Content-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n%s", sizeof SDP - 1, SDP);
}

void sip_add_no_body(struct text *text) { sip_add(text, "Content-Length: 0\r\n\r\n"); }

/* Returns the line after this one, or NULL where the headers end. */
static const char *next_line(const char *line) {
    const char *end = strstr(line, "\r\n");
    return end && end[2] != '\r' && end[2] ? end + 2 : NULL;
}

static int line_length(const char *line) { return (int)strcspn(line, "\r"); }

static const char *value_of(const char *line, const char *name) {
    size_t length = strlen(name);
    if (strncasecmp(line, name, length) || line[length] != ':') return NULL;
    return line + length + 1 + strspn(line + length + 1, " ");
}

const char *sip_header(const char *message, const char *name, int *length) {
    for (const char *line = next_line(message); line; line = next_line(line)) {
        const char *value = value_of(line, name);
        if (value) {
            *length = line_length(value);
            return value;
        }
    }
    return NULL;
}

void sip_add_routes(struct text *text, const char *response) {
    const char *routes[ROUTES_MAX];
    int count = 0;
    for (const char *line = next_line(response); line && count < ROUTES_MAX; line = next_line(line)) {
        const char *value = value_of(line, "Record-Route");
        if (value) routes[count++] = value;
    }
    while (count--) sip_add(text, "Route: %.*s\r\n", line_length(routes[count]), routes[count]);
}

static int quoted(const char *value, int length, const char *name, char out[VALUE_MAX]) {
    char key[32];
    int key_length = snprintf(key, sizeof key, "%s=\"", name);
    const char *start = memmem(value, (size_t)length, key, (size_t)key_length);
    if (!start) return 0;
    start += key_length;
    size_t size = strcspn(start, "\"\r");
    if (start[size] != '"' || size >= VALUE_MAX) return 0;
    memcpy(out, start, size);
    out[size] = 0;
    return 1;
}

__attribute__((format(printf, 2, 3))) static void digest(char out[MD5_HEX], const char *format, ...) {
    char joined[1000];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(joined, sizeof joined, format, arguments);
    va_end(arguments);
    md5_hex(joined, (size_t)size, out);
}

int sip_add_authorization(struct text *text, const char *response, const char *user, const char *password,
                          const char *uri) {
    char realm[VALUE_MAX], nonce[VALUE_MAX], who[MD5_HEX], what[MD5_HEX], proof[MD5_HEX];
    int length;
    const char *challenge = sip_header(response, "WWW-Authenticate", &length);
    if (!challenge || !quoted(challenge, length, "realm", realm) || !quoted(challenge, length, "nonce", nonce))
        return 0;
    int has_qop = memmem(challenge, (size_t)length, "qop=", 4) != NULL;
    digest(who, "%s:%s:%s", user, realm, password);
    digest(what, "REGISTER:%s", uri);
    if (has_qop) digest(proof, "%s:%s:00000001:abcdef01:auth:%s", who, nonce, what);
    else digest(proof, "%s:%s:%s", who, nonce, what);
    sip_add(text,
            "Authorization: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", "
            "response=\"%s\", algorithm=MD5%s\r\n",
            user, realm, nonce, uri, proof, has_qop ? ", qop=auth, nc=00000001, cnonce=\"abcdef01\"" : "");
    return 1;
}

static int is_copied(const char *line) {
    static const char *names[] = {"Via", "v", "From", "f", "Call-ID", "i", "CSeq", "Record-Route"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (value_of(line, names[i])) return 1;
    return 0;
}

void sip_add_response(struct text *text, const char *status, const char *request) {
    sip_add(text, "SIP/2.0 %s\r\n", status);
    for (const char *line = next_line(request); line; line = next_line(line)) {
        int length = line_length(line);
        if (is_copied(line)) sip_add(text, "%.*s\r\n", length, line);
        else if (value_of(line, "To") || value_of(line, "t"))
            sip_add(text, "%.*s%s\r\n", length, line,
                    memmem(line, (size_t)length, ";tag=", 5) ? "" : ";tag=callee");
    }
}
