/* MD5 (RFC 1321), for digest authentication alone. */
#ifndef MD5_H
#define MD5_H

#include <stddef.h>

enum { MD5_HEX = 33 };

/* Writes the digest of `size` bytes (at most 1000) as 32 hexadecimal digits and a zero byte. */
void md5_hex(const char *data, size_t size, char out[MD5_HEX]);

#endif
