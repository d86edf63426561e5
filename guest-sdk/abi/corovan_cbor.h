/* corovan_cbor.h: just enough CBOR for a coroutine function in C to read its arguments and write its result.
 *
 * Reading never fails loudly: the first value that is not as wanted marks the reader, every later read gives zero, and
 * corovan_cbor_ok tells. Numbers are taken by value, as the calling convention has it. Writing counts what does not fit. */
#ifndef COROVAN_CBOR_H
#define COROVAN_CBOR_H

#include "corovan.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

typedef struct {
  const uint8_t *at;
  const uint8_t *end;
  bool failed;
} corovan_cbor_reader;

enum corovan_cbor_kind {
  COROVAN_CBOR_UNSIGNED = 0,
  COROVAN_CBOR_NEGATIVE = 1,
  COROVAN_CBOR_BYTES = 2,
  COROVAN_CBOR_TEXT = 3,
  COROVAN_CBOR_ARRAY = 4,
  COROVAN_CBOR_MAP = 5,
  COROVAN_CBOR_TAG = 6,
  COROVAN_CBOR_SIMPLE = 7, /* false, true, null, floats */
  COROVAN_CBOR_END = 8,    /* nothing is left, or the reader has failed */
};

static inline corovan_cbor_reader corovan_cbor_from(const void *bytes, uint32_t len) {
  const uint8_t *start = (const uint8_t *)bytes;
  corovan_cbor_reader reader = {start, start + len, false};
  return reader;
}

static inline bool corovan_cbor_ok(const corovan_cbor_reader *r) { return !r->failed; }

/* What comes next. */
static inline enum corovan_cbor_kind corovan_cbor_next(const corovan_cbor_reader *r) {
  return r->failed || r->at == r->end ? COROVAN_CBOR_END : (enum corovan_cbor_kind)(*r->at >> 5);
}

static inline uint64_t corovan_cbor_fail(corovan_cbor_reader *r) {
  r->failed = true;
  return 0;
}

/* The head of an item: its low five bits go to `info`, its value or length is given. Lengths not known beforehand are not taken:
 * the node sends none. */
static inline uint64_t corovan_cbor_head(corovan_cbor_reader *r, uint8_t *info) {
  if (r->failed || r->at == r->end) return corovan_cbor_fail(r);
  *info = *r->at++ & 31;
  if (*info < 24) return *info;
  if (*info > 27) return corovan_cbor_fail(r);
  uint32_t size = 1u << (*info - 24);
  if ((uint32_t)(r->end - r->at) < size) return corovan_cbor_fail(r);
  uint64_t value = 0;
  while (size--) value = value << 8 | *r->at++;
  return value;
}

/* The number of items of an array, which are read one by one after it. */
static inline uint32_t corovan_cbor_array(corovan_cbor_reader *r) {
  uint8_t info;
  if (corovan_cbor_next(r) != COROVAN_CBOR_ARRAY) return (uint32_t)corovan_cbor_fail(r);
  uint64_t count = corovan_cbor_head(r, &info);
  /* Each item has a byte at least, so a larger count is not true. */
  return count > (uint64_t)(r->end - r->at) ? (uint32_t)corovan_cbor_fail(r) : (uint32_t)count;
}

static inline double corovan_cbor_half(uint16_t half) {
  int exponent = half >> 10 & 31;
  double fraction = half & 1023;
  double value = exponent == 0    ? ldexp(fraction, -24)
                 : exponent == 31 ? (fraction == 0 ? HUGE_VAL : (double)NAN)
                                  : ldexp(fraction + 1024, exponent - 25);
  return half & 0x8000 ? -value : value;
}

/* Any number. */
static inline double corovan_cbor_number(corovan_cbor_reader *r) {
  uint8_t info = 0;
  enum corovan_cbor_kind kind = corovan_cbor_next(r);
  if (kind > COROVAN_CBOR_NEGATIVE && kind != COROVAN_CBOR_SIMPLE) return (double)corovan_cbor_fail(r);
  uint64_t bits = corovan_cbor_head(r, &info);
  if (kind == COROVAN_CBOR_UNSIGNED) return (double)bits;
  if (kind == COROVAN_CBOR_NEGATIVE) return -1.0 - (double)bits;
  if (info == 25) return corovan_cbor_half((uint16_t)bits);
  if (info == 26) {
    uint32_t narrow = (uint32_t)bits;
    float value;
    memcpy(&value, &narrow, sizeof value);
    return value;
  }
  if (info == 27) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
  }
  return (double)corovan_cbor_fail(r);
}

/* A whole number, also when it is written as a float. */
static inline int64_t corovan_cbor_integer(corovan_cbor_reader *r) {
  uint8_t info;
  enum corovan_cbor_kind kind = corovan_cbor_next(r);
  if (kind == COROVAN_CBOR_UNSIGNED || kind == COROVAN_CBOR_NEGATIVE) {
    uint64_t value = corovan_cbor_head(r, &info);
    if (value > INT64_MAX) return (int64_t)corovan_cbor_fail(r);
    return kind == COROVAN_CBOR_UNSIGNED ? (int64_t)value : -1 - (int64_t)value;
  }
  double value = corovan_cbor_number(r);
  /* 2^63 itself is beyond the largest integer; both bounds are exact as doubles. */
  if (!(value >= -0x1p63 && value < 0x1p63) || value != trunc(value)) return (int64_t)corovan_cbor_fail(r);
  return (int64_t)value;
}

/* Text or bytes: where they are inside what is read, not ended by a zero byte. */
static inline const char *corovan_cbor_text(corovan_cbor_reader *r, uint32_t *len) {
  uint8_t info;
  enum corovan_cbor_kind kind = corovan_cbor_next(r);
  *len = 0;
  if (kind != COROVAN_CBOR_TEXT && kind != COROVAN_CBOR_BYTES) {
    corovan_cbor_fail(r);
    return "";
  }
  uint64_t size = corovan_cbor_head(r, &info);
  if (r->failed || size > (uint64_t)(r->end - r->at)) {
    corovan_cbor_fail(r);
    return "";
  }
  const char *text = (const char *)r->at;
  *len = (uint32_t)size;
  r->at += size;
  return text;
}

static inline bool corovan_cbor_bool(corovan_cbor_reader *r) {
  if (r->failed || r->at == r->end || (*r->at != 0xf4 && *r->at != 0xf5)) return corovan_cbor_fail(r) != 0;
  return *r->at++ == 0xf5;
}

/* ---- writing ---- */

/* `len` counts what did not fit too: if it is above `cap`, the buffer must be so large. */
typedef struct {
  uint8_t *buf;
  uint32_t cap;
  uint32_t len;
} corovan_cbor_writer;

static inline void corovan_cbor_put(corovan_cbor_writer *w, const void *bytes, uint32_t len) {
  if (w->len <= w->cap && len <= w->cap - w->len) memcpy(w->buf + w->len, bytes, len);
  w->len += len;
}

static inline void corovan_cbor_put_head(corovan_cbor_writer *w, enum corovan_cbor_kind kind, uint64_t value) {
  uint8_t bytes[9];
  uint32_t size = value < 24 ? 0 : value <= UINT8_MAX ? 1 : value <= UINT16_MAX ? 2 : value <= UINT32_MAX ? 4 : 8;
  uint8_t info = size == 0 ? (uint8_t)value : size == 1 ? 24 : size == 2 ? 25 : size == 4 ? 26 : 27;
  bytes[0] = (uint8_t)(kind << 5 | info);
  for (uint32_t i = 0; i < size; i++) bytes[1 + i] = (uint8_t)(value >> 8 * (size - 1 - i));
  corovan_cbor_put(w, bytes, 1 + size);
}

/* An array of so many items, or a map of so many pairs, which are written after it. */
static inline void corovan_cbor_put_array(corovan_cbor_writer *w, uint32_t count) {
  corovan_cbor_put_head(w, COROVAN_CBOR_ARRAY, count);
}

static inline void corovan_cbor_put_map(corovan_cbor_writer *w, uint32_t count) {
  corovan_cbor_put_head(w, COROVAN_CBOR_MAP, count);
}

static inline void corovan_cbor_put_integer(corovan_cbor_writer *w, int64_t value) {
  if (value >= 0) corovan_cbor_put_head(w, COROVAN_CBOR_UNSIGNED, (uint64_t)value);
  else corovan_cbor_put_head(w, COROVAN_CBOR_NEGATIVE, (uint64_t)(-1 - value));
}

static inline void corovan_cbor_put_number(corovan_cbor_writer *w, double value) {
  uint8_t bytes[9] = {0xfb};
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  for (int i = 0; i < 8; i++) bytes[1 + i] = (uint8_t)(bits >> (56 - 8 * i));
  corovan_cbor_put(w, bytes, sizeof bytes);
}

static inline void corovan_cbor_put_text(corovan_cbor_writer *w, const char *text, uint32_t len) {
  corovan_cbor_put_head(w, COROVAN_CBOR_TEXT, len);
  corovan_cbor_put(w, text, len);
}

static inline void corovan_cbor_put_bytes(corovan_cbor_writer *w, const void *bytes, uint32_t len) {
  corovan_cbor_put_head(w, COROVAN_CBOR_BYTES, len);
  corovan_cbor_put(w, bytes, len);
}

static inline void corovan_cbor_put_bool(corovan_cbor_writer *w, bool value) {
  corovan_cbor_put(w, value ? "\xf5" : "\xf4", 1);
}

static inline void corovan_cbor_put_null(corovan_cbor_writer *w) { corovan_cbor_put(w, "\xf6", 1); }

/* ---- a coroutine's own ---- */

/* This coroutine's arguments, allocated for as long as it lives. Read their array first. */
static inline corovan_cbor_reader corovan_cbor_args(void) {
  int32_t size = corovan_lifecycle_args(NULL, 0);
  uint8_t *bytes = size > 0 ? (uint8_t *)malloc((size_t)size) : NULL;
  if (bytes == NULL) {
    corovan_cbor_reader none = {NULL, NULL, true};
    return none;
  }
  corovan_lifecycle_args(bytes, (uint32_t)size);
  return corovan_cbor_from(bytes, (uint32_t)size);
}

/* Ends the coroutine as failed; `text`, ended by a zero byte, tells a person which argument is wrong and what it should be. */
static inline _Noreturn void corovan_cbor_bad_argument(const char *text) {
  static const char kind[] = "bad-argument";
  corovan_lifecycle_fail(kind, sizeof kind - 1, text, (uint32_t)strlen(text));
}

#endif /* COROVAN_CBOR_H */
