#include "md5.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 64, LENGTH_AT = 56, MAX_SIZE = 1000 };

static const int SHIFTS[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static uint32_t sines[BLOCK];

static void make_sines(void) {
    for (int i = 0; i < BLOCK; i++) sines[i] = (uint32_t)(fabs(sin(i + 1)) * 4294967296.0);
}

static uint32_t word_at(const unsigned char *bytes) {
    return bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void mix(uint32_t state[4], const unsigned char *block) {
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (int i = 0; i < BLOCK; i++) {
        uint32_t f;
        int word;
        switch (i / 16) {
        case 0: f = (b & c) | (~b & d); word = i; break;
        case 1: f = (d & b) | (~d & c); word = (5 * i + 1) % 16; break;
        case 2: f = b ^ c ^ d; word = (3 * i + 5) % 16; break;
        default: f = c ^ (b | ~d); word = 7 * i % 16; break;
        }
        uint32_t sum = a + f + sines[i] + word_at(block + 4 * word);
        int shift = SHIFTS[i / 16][i % 4];
        a = d, d = c, c = b;
        b += sum << shift | sum >> (32 - shift);
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
}

void md5_hex(const char *data, size_t size, char out[MD5_HEX]) {
    unsigned char padded[MAX_SIZE + 2 * BLOCK] = {0};
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    if (!sines[0]) make_sines();
    if (size > MAX_SIZE) size = MAX_SIZE;
    memcpy(padded, data, size);
    padded[size] = 0x80;
    size_t total = (size + 8) / BLOCK * BLOCK + BLOCK;
    uint64_t bits = (uint64_t)size * 8;
    for (size_t i = 0; i < 8; i++) padded[total - BLOCK + LENGTH_AT + i] = (unsigned char)(bits >> 8 * i);
    for (size_t at = 0; at < total; at += BLOCK) mix(state, padded + at);
    for (int i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", (unsigned)(state[i / 4] >> 8 * (i % 4) & 255));
}
