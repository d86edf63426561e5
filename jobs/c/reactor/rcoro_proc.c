/* rcoro_proc, in C: sleeps for n seconds and returns n, as the Rust one. Shows that a coroutine function needs no more than the
 * two headers, and a manifest written by hand. */
#include "corovan_cbor.h"

/* {"abi": 1, "functions": [{"name": "rcoro_proc", "params": ["n: f64"], "result": "f64", "doc": "Sleeps for ..."}]} */
COROVAN_MANIFEST(
    COROVAN_HEAD(0xa2) COROVAN_HEAD(0x63) COROVAN_TEXT("abi") COROVAN_HEAD(0x01)
    COROVAN_HEAD(0x69) COROVAN_TEXT("functions") COROVAN_HEAD(0x81) COROVAN_HEAD(0xa4)
    COROVAN_HEAD(0x64) COROVAN_TEXT("name") COROVAN_HEAD(0x6a) COROVAN_TEXT("rcoro_proc")
    COROVAN_HEAD(0x66) COROVAN_TEXT("params") COROVAN_HEAD(0x81) COROVAN_HEAD(0x66) COROVAN_TEXT("n: f64")
    COROVAN_HEAD(0x66) COROVAN_TEXT("result") COROVAN_HEAD(0x63) COROVAN_TEXT("f64")
    COROVAN_HEAD(0x63) COROVAN_TEXT("doc") COROVAN_HEAD(0x78) COROVAN_HEAD(37)
    COROVAN_TEXT("Sleeps for n seconds, then returns n."))

COROVAN_COROUTINE(rcoro_proc) void rcoro_proc(void) {
  corovan_cbor_reader args = corovan_cbor_args();
  uint32_t count = corovan_cbor_array(&args);
  double n = corovan_cbor_number(&args);
  if (count != 1 || !corovan_cbor_ok(&args)) corovan_cbor_bad_argument("rcoro_proc takes 1 argument (n: f64), a number");
  if (!(n >= 0 && n < 1e9)) corovan_cbor_bad_argument("argument 1 (n: f64): expected a number of seconds from 0 to 1e9");

  /* Interrupted, it ends without a result. */
  if (corovan_time_sleep((uint64_t)(n * 1e9)) < 0) return;

  uint8_t result[9];
  corovan_cbor_writer out = {result, sizeof result, 0};
  corovan_cbor_put_number(&out, n);
  corovan_lifecycle_finish(result, out.len);
}
