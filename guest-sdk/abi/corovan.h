/* corovan.h: the host interface of Corovan, as imports from module "corovan", for C, C++, Zig and whatever reads C headers.
 *
 * README.md beside this file has the calling convention; corovan.wit has the same functions by the same names for components.
 * A function corovan_INTERFACE_NAME is NAME of interface INTERFACE there. Times are nanoseconds; a timeout of COROVAN_FOREVER
 * never ends, 0 only looks. Results below zero are negated codes, with the detail in corovan_lifecycle_last_error.
 *
 * Above each function: Errors, the codes it gives beside `internal`; Traps, what ends the coroutine:
 *   pointer  a pointer, or pointer and length, outside the memory      handle  a handle that is not open, or of another kind
 *   text     bytes that are not UTF-8                                   options a size field this version does not know
 * and `since 1` where it is available, or `planned` where its shape is settled and no node has it yet: a module that
 * imports such a function is refused when it is shipped. */
#ifndef COROVAN_H
#define COROVAN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define COROVAN_ABI_VERSION 1
#define COROVAN_FOREVER UINT64_MAX

#define COROVAN_IMPORT(name) __attribute__((import_module("corovan"), import_name(#name)))
/* Before a coroutine function: COROVAN_COROUTINE(name) void name(void) { ... }
 * In a reactor nothing flushes stdout at the end: one that prints calls fflush(stdout) before it waits and before it returns. */
#define COROVAN_COROUTINE(name) __attribute__((export_name(#name)))

/* At the top level of a file: adds CBOR maps to the module's manifest, written as COROVAN_HEAD(byte) and COROVAN_TEXT("text").
 * A string of C would do, were there a way in C to put one into a section of that kind. */
#define COROVAN_MANIFEST(cbor) __asm__(".section .custom_section.corovan.manifest,\"\",@\n" cbor);
#define COROVAN_HEAD(byte) ".byte " #byte "\n"
#define COROVAN_TEXT(text) ".ascii " #text "\n"

/* Why a call did not do what was asked. A result of -COROVAN_TIMEOUT is a timeout. Numbers never change meaning. */
enum corovan_code {
  COROVAN_TIMEOUT = 1,            /* The time given to the call ran out. It may still take effect, at most once. */
  COROVAN_GONE = 2,               /* The target has ended, or was never there. */
  COROVAN_DENIED = 3,             /* A right is missing; the detail names the grant and where to add it. */
  COROVAN_OVERLOADED = 4,         /* A bound is reached and the call does not wait for room. */
  COROVAN_TOO_LARGE = 5,          /* Larger than the limit; the detail names the limit. */
  COROVAN_INTERRUPTED = 6,        /* Another coroutine interrupted this call. */
  COROVAN_NODE_LOST = 7,          /* The other node cannot be reached. It may still take effect, at most once. */
  COROVAN_ALREADY = 8,            /* It was done before and can be done once only. */
  COROVAN_EXPIRED = 9,            /* It ended, and what was kept about it is no longer kept. */
  COROVAN_INVALID = 10,           /* An argument has a value that the call does not take. */
  COROVAN_NOT_FOUND = 11,         /* No such name, function, file or handle. */
  COROVAN_TAKEN = 12,             /* The name belongs to another. */
  COROVAN_CYCLE = 13,             /* The subscription would close a cycle. */
  COROVAN_SECOND_PATH = 14,       /* The subscription would make a second path between two channels. */
  COROVAN_RETRY = 15,             /* Another operation was in the way; try again. */
  COROVAN_CLOSED = 16,            /* The other side has closed. */
  COROVAN_UNSUPPORTED = 17,       /* This node, or this version, does not have it. */
  COROVAN_SWAP_FAILED = 18,       /* The new instance could not start; the old one continues. */
  COROVAN_NOT_HELD = 19,          /* Released by one that does not hold it. */
  COROVAN_INTERNAL = 20,          /* A fault of the node; its log has the cause. */
  COROVAN_BAD_MODULE = 21,        /* The module cannot be used; the detail says why. */
  COROVAN_UNKNOWN_FUNCTION = 22,  /* The module has no such function, or one that is not a coroutine function. */
  COROVAN_NEED_MODULE = 23,       /* The node does not have this module from this tenant: send its bytes. */
  COROVAN_VERSION = 24,           /* The two sides share no protocol version. */
  COROVAN_PROTOCOL = 25,          /* The peer sent what the protocol does not allow. */
  COROVAN_SHUTTING_DOWN = 26,     /* The node is stopping and takes no new work. */
  COROVAN_NO_SPACE = 27,          /* The node's disk is full or the tenant's share of it is used up. */
  COROVAN_CANCELLED = 28,         /* The client cancelled it. */
};

/* Where a coroutine, channel or node is reached: unguessable, never reused. */
typedef struct {
  uint8_t bytes[32];
} corovan_address;

/* The name of a module: the BLAKE3 hash of its bytes. */
typedef struct {
  uint8_t bytes[32];
} corovan_hash;

/* What comes with a result of variable size: its size, and where it did not fit, the token to take it by (0 where it did). */
typedef struct {
  uint32_t size;
  uint32_t reserved;
  uint64_t token;
} corovan_part;

/* What comes with a message. */
typedef struct {
  uint32_t size;
  uint32_t kind;         /* enum corovan_message_kind */
  uint64_t tag;          /* what the sender chose */
  uint64_t token;        /* of the bytes, where they did not fit; else 0 */
  uint64_t reply;        /* answers it, once, in corovan_messaging_reply; 0 where none is awaited */
  corovan_address sender;
} corovan_message;

enum corovan_message_kind {
  COROVAN_MESSAGE = 0,       /* from a coroutine or client */
  COROVAN_EXIT = 1,          /* a monitored coroutine ended: its exit record, in CBOR */
  COROVAN_TIMER = 2,         /* from corovan_time_send_after to oneself */
  COROVAN_NAME_LOST = 3,     /* the name, as text */
  COROVAN_SWAP = 4,          /* asked to change module: the new function's name */
  COROVAN_PEERS = 5,         /* peers came, changed or went: a CBOR array of them; the node takes the place of the sender */
  COROVAN_CALLED = 6,        /* a coroutine was made of one's service: its name, as text; the coroutine is the sender */
};

/* Which messages to receive; what is not chosen stays in its place. */
typedef struct {
  uint32_t size;             /* sizeof(corovan_filter) */
  uint32_t by;               /* sum of enum corovan_filter_by; 0 takes every message */
  uint64_t tag;
  uint32_t kind;
  uint32_t reserved;         /* 0 */
  corovan_address sender;
} corovan_filter;

enum corovan_filter_by { COROVAN_BY_TAG = 1, COROVAN_BY_KIND = 2, COROVAN_BY_SENDER = 4 };

/* A thing to wait for. */
typedef struct {
  uint32_t kind;             /* enum corovan_wait_kind */
  uint32_t handle;           /* of a socket or stream; else 0 */
  uint64_t value;            /* timer: monotonic time; message: address of a corovan_filter, 0 for all; exit: of a corovan_address */
  uint64_t value2;           /* 0 */
  uint64_t reserved;         /* 0 */
} corovan_wait_entry;

enum corovan_wait_kind {
  COROVAN_WAIT_TIMER = 1,    /* since 1 */
  COROVAN_WAIT_MESSAGE = 2,  /* since 1 */
  COROVAN_WAIT_READABLE = 3, /* planned: `unsupported` */
  COROVAN_WAIT_WRITABLE = 4, /* planned: `unsupported` */
  COROVAN_WAIT_EXIT = 5,     /* since 1; also ready when the node cannot be reached */
};

enum corovan_log_level { COROVAN_ERROR = 1, COROVAN_WARN = 2, COROVAN_INFO = 3, COROVAN_DEBUG = 4, COROVAN_TRACE = 5 };

/* Options of corovan_lifecycle_spawn. Zero is the default of every field but size. */
typedef struct {
  uint32_t size;             /* sizeof(corovan_spawn_options) */
  uint32_t flags;            /* sum of enum corovan_spawn_flag */
  const corovan_hash *module;/* another module; NULL: this one */
  const char *where;         /* a node's name, or a label KEY=VALUE; NULL: this node */
  uint32_t where_len;
  uint32_t rights_len;
  const char *rights;        /* a CBOR array of rights, each one that the parent has; NULL: none */
  uint32_t reserved;         /* 0 */
  uint64_t timeout;          /* for a remote node to accept; 0: 10 s */
  uint64_t deadline;         /* wall time of the child; 0: the parent's */
  uint64_t memory;           /* bytes; 0: as the module says */
} corovan_spawn_options;

enum corovan_spawn_flag {
  COROVAN_DAEMON = 1,        /* does not keep its computation open */
  COROVAN_MONITOR = 2,       /* one exit message comes to the parent */
  COROVAN_LINK = 4,          /* the abnormal end of either terminates the other */
  COROVAN_ANYWHERE = 8,      /* wherever there is most room that `where` allows */
};

enum corovan_channel_policy { COROVAN_DROP_OLDEST = 0, COROVAN_DROP_NEWEST = 1, COROVAN_HOLD_PUBLISHER = 2 };

enum corovan_lock_kind {
  COROVAN_LOCK = 1,
  COROVAN_REENTRANT_LOCK = 2,
  COROVAN_EVENT = 3,
  COROVAN_CONDITION = 4,
  COROVAN_SEMAPHORE = 5,
};

enum corovan_shutdown { COROVAN_SHUT_READ = 1, COROVAN_SHUT_WRITE = 2, COROVAN_SHUT_BOTH = 3 };

/* ---- lifecycle: this coroutine and others ---- */

/* Writes this coroutine's address.
 * Errors: none.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(self)
int32_t corovan_lifecycle_self(corovan_address *out);

/* The name of the function to run, as text: its size; it is in buf if that is at most cap. May be called again.
 * Errors: none.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(entry)
int32_t corovan_lifecycle_entry(char *buf, uint32_t cap);

/* The arguments, a CBOR array: their size; they are in buf if that is at most cap. May be called again.
 * Errors: none.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(args)
int32_t corovan_lifecycle_args(void *buf, uint32_t cap);

/* Records the result, one CBOR item, and goes on: the coroutine ends when its function returns.
 * Errors: already, too-large, invalid (not one CBOR item), overloaded (the tenant's quota).
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(finish)
int32_t corovan_lifecycle_finish(const void *item, uint32_t len);

/* Ends this coroutine as failed and does not return. kind is a short stable word, text is for a person (128 bytes
 * and 4 KiB are kept).
 * Errors: none.
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(fail)
_Noreturn void corovan_lifecycle_fail(const char *kind, uint32_t kind_len, const char *text, uint32_t text_len);

/* Lets others run.
 * Errors: interrupted.
 * Traps: none.
 * since 1 */
COROVAN_IMPORT(yield)
int32_t corovan_lifecycle_yield(void);

/* The detail of the last negative result, as text: its size; it is in buf if that is at most cap. Successes leave
 * it.
 * Errors: none.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(last_error)
int32_t corovan_lifecycle_last_error(char *buf, uint32_t cap);

/* Waits for resume and gives the size of its bytes. A resume that came before is taken at once.
 * Errors: timeout, interrupted, overloaded (16 tokens).
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(suspend)
int32_t corovan_lifecycle_suspend(uint64_t timeout, corovan_part *part, void *buf, uint32_t cap);

/* Ends the target's suspend, or its next one, with these bytes.
 * Errors: gone, denied, overloaded (one is waiting), too-large, node-lost, interrupted, timeout.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(resume)
int32_t corovan_lifecycle_resume(const corovan_address *to, const void *bytes, uint32_t len, uint64_t timeout);

/* Makes a coroutine and writes its address. args is a CBOR array. options may be NULL.
 * Errors: denied, overloaded, unknown-function, bad-module, need-module, too-large, invalid, timeout, node-lost,
 * interrupted, shutting-down.
 * Traps: pointer, text, options.
 * since 1 */
COROVAN_IMPORT(spawn)
int32_t corovan_lifecycle_spawn(const char *function, uint32_t function_len, const void *args, uint32_t args_len,
    const corovan_spawn_options *options, corovan_address *out);

/* Interrupts the target, and after its grace period stops it hard. Waits until it has ended.
 * Errors: denied, node-lost, timeout, interrupted (also by terminating oneself).
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(terminate)
int32_t corovan_lifecycle_terminate(const corovan_address *target, uint64_t timeout);

/* The current or next waiting call of the target gives `interrupted`, once. The first reason wins.
 * Errors: gone, denied, node-lost, too-large, timeout, interrupted.
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(interrupt)
int32_t corovan_lifecycle_interrupt(const corovan_address *target, const char *reason, uint32_t reason_len, uint64_t
    timeout);

/* One exit message will come when the target ends, or at once if it has. Asking again changes nothing.
 * Errors: denied, overloaded, invalid (its own).
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(monitor)
int32_t corovan_lifecycle_monitor(const corovan_address *target);

/* No exit message will come any more.
 * Errors: not-found.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(demonitor)
int32_t corovan_lifecycle_demonitor(const corovan_address *target);

/* Waits for the end of the target and gives the size of its exit record, in CBOR.
 * Errors: timeout, expired, denied, node-lost, interrupted, overloaded, invalid (its own).
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(join)
int32_t corovan_lifecycle_join(const corovan_address *target, uint64_t timeout, corovan_part *part, void *buf,
    uint32_t cap);

/* Whether this coroutine keeps its computation open (0) or not (1).
 * Errors: none.
 * Traps: none.
 * since 1 */
COROVAN_IMPORT(set_daemon)
int32_t corovan_lifecycle_set_daemon(uint32_t daemon);

/* What the target is doing, in CBOR: state, function, usage.
 * Errors: gone, denied, node-lost, timeout, interrupted, overloaded.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(status)
int32_t corovan_lifecycle_status(const corovan_address *target, uint64_t timeout, corovan_part *part, void *buf,
    uint32_t cap);

/* Asks the target to go on as this function of this module (NULL: its own). Waits for its answer.
 * Errors: swap-failed, gone, denied, unknown-function, need-module, bad-module, timeout, node-lost, interrupted,
 * overloaded.
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(swap)
int32_t corovan_lifecycle_swap(const corovan_address *target, const corovan_hash *module, const char *function,
    uint32_t function_len, uint64_t timeout);

/* Agrees to a swap: the new function starts with the state, one CBOR item, as its argument. Returns only on failure.
 * Errors: swap-failed, not-found (none is asked for), too-large, invalid, overloaded (the tenant's quota).
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(swap_point)
int32_t corovan_lifecycle_swap_point(const void *state, uint32_t len);

/* Declines a swap.
 * Errors: not-found (none is asked for).
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(swap_refuse)
int32_t corovan_lifecycle_swap_refuse(const char *why, uint32_t len);

/* ---- time: sleeping, clocks, waiting for the first of several things ---- */

/* Suspends this coroutine for so long. 0 lets others run.
 * Errors: interrupted.
 * Traps: none.
 * since 1 */
COROVAN_IMPORT(sleep)
int32_t corovan_time_sleep(uint64_t duration);

/* Unix time. It may be set back while a job runs.
 * Errors: none.
 * Traps: none.
 * since 1 */
COROVAN_IMPORT(now)
int64_t corovan_time_now(void);

/* Time since this coroutine's node started. Resolution of all clocks: 100 us.
 * Errors: none.
 * Traps: none.
 * since 1 */
COROVAN_IMPORT(monotonic)
int64_t corovan_time_monotonic(void);

/* Time left of this coroutine's deadline; INT64_MAX where there is none.
 * Errors: none.
 * Traps: none.
 * since 1 */
COROVAN_IMPORT(deadline)
int64_t corovan_time_deadline(void);

/* The lowest index of a thing that is ready. Consumes nothing. 1 to 256 entries, of which 16 may choose among messages.
 * Errors: timeout, interrupted, unsupported (a kind), invalid (no entry, or too many; a reserved field that is
 * not 0), denied (an exit of another tenant's).
 * Traps: pointer, options, handle.
 * since 1 */
COROVAN_IMPORT(wait)
int32_t corovan_time_wait(const corovan_wait_entry *set, uint32_t count, uint64_t timeout);

/* After so long a message goes to this address, without waiting for room. The timer's number.
 * Errors: denied, overloaded, too-large, node-lost.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(send_after)
int64_t corovan_time_send_after(uint64_t delay, const corovan_address *to, uint64_t tag, const void *bytes, uint32_t
    len);

/* The timer's message will not be sent.
 * Errors: not-found (it was, or there is no such timer).
 * Traps: none.
 * since 1 */
COROVAN_IMPORT(cancel_timer)
int32_t corovan_time_cancel_timer(uint64_t timer);

/* ---- messaging: from mailbox to mailbox ---- */

/* Puts a message into a local mailbox, or under the credit of the link to a remote one. Waits where there is no
 * room.
 * Errors: gone, denied, overloaded (timeout 0), too-large, timeout, node-lost, interrupted.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(send)
int32_t corovan_messaging_send(const corovan_address *to, uint64_t tag, const void *bytes, uint32_t len, uint64_t
    timeout);

/* The same, and waits until the message is in the receiver's mailbox.
 * Errors: gone, denied, overloaded, too-large, timeout, node-lost, interrupted.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(deliver)
int32_t corovan_messaging_deliver(const corovan_address *to, uint64_t tag, const void *bytes, uint32_t len, uint64_t
    timeout);

/* The oldest message that the filter (NULL: every one) chooses: its size.
 * Errors: timeout, interrupted, overloaded (a mailbox full of others, where the one wanted is no system message; or 16
 * tokens).
 * Traps: pointer, options.
 * since 1 */
COROVAN_IMPORT(receive)
int32_t corovan_messaging_receive(uint64_t timeout, const corovan_filter *filter, corovan_message *message, void *buf,
    uint32_t cap);

/* Sends a message and waits for the reply to it: its size.
 * Errors: gone, closed (it was read, and will not be answered), denied, overloaded, too-large, timeout, node-lost,
 * interrupted.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(request)
int32_t corovan_messaging_request(const corovan_address *to, uint64_t tag, const void *bytes, uint32_t len, uint64_t
    timeout, corovan_message *message, void *buf, uint32_t cap);

/* Answers a request, once.
 * Errors: gone (no longer awaited), too-large, overloaded (may be tried again), node-lost.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(reply)
int32_t corovan_messaging_reply(uint64_t reply, const void *bytes, uint32_t len);

/* Copies what a token stands for to buf, which has room for its size, and gives the token back.
 * Errors: not-found.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(take)
int32_t corovan_messaging_take(uint64_t token, void *buf);

/* Gives a token back and drops what it stands for.
 * Errors: not-found.
 * Traps: none.
 * since 1 */
COROVAN_IMPORT(drop)
int32_t corovan_messaging_drop(uint64_t token);

/* A WASI descriptor that poll_oneoff finds readable when a receive of any message would not wait, for runtimes that wait
 * there alone. The same number every time; fd_close closes it. README.md, WASI, has the rest.
 * Errors: none.
 * Traps: none.
 * since 1 */
COROVAN_IMPORT(mailbox_fd)
int32_t corovan_messaging_mailbox_fd(void);

/* ---- channels: named broadcast points ---- */

/* Makes or finds the tenant's channel of this name (1 to 128 bytes) on this node and writes its address. It belongs to the
 * computation that made it, and ends with that.
 * Errors: overloaded, invalid (the name).
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(channel_open)
int32_t corovan_channels_open(const char *name, uint32_t name_len, corovan_address *out);

/* Subscribes a coroutine or channel with room for cap unread messages (1 to 10,000) and an enum corovan_channel_policy; one
 * that is subscribed gets the new cap and policy. Messages have the channel as their sender. COROVAN_HOLD_PUBLISHER is for
 * coroutines of the channel's own computation. What a channel cannot take from another at once waits there, cap messages of
 * it, unless it holds the publisher.
 * Errors: gone, denied, overloaded, cycle, second-path, retry, invalid, timeout, node-lost,
 * interrupted.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(channel_subscribe)
int32_t corovan_channels_subscribe(const corovan_address *channel, const corovan_address *subscriber, uint32_t cap,
    uint32_t policy, uint64_t timeout);

/* Ends a subscription. What it brought and is not read stays.
 * Errors: gone, denied, not-found, timeout, node-lost, interrupted.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(channel_unsubscribe)
int32_t corovan_channels_unsubscribe(const corovan_address *channel, const corovan_address *subscriber, uint64_t
    timeout);

/* Sends to all who are subscribed: when it returns, their mailboxes have it, or what had no room was dropped as they chose.
 * All see one order. After timeout some may have it. A timeout of 0 is overloaded while another message is on its way, and
 * where there is a transform.
 * Errors: gone, denied, overloaded, too-large, timeout, node-lost, interrupted, invalid (the transform failed).
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(channel_send)
int32_t corovan_channels_send(const corovan_address *channel, uint64_t tag, const void *bytes, uint32_t len, uint64_t
    timeout);

/* Waits for n subscribers that are coroutines, counted across sub-channels, sends to all, and waits for their mailboxes to
 * have it: how many do, which at the timeout may be fewer. 0 when n were not there in time: nothing was sent.
 * Errors: gone, denied, overloaded, too-large, node-lost, interrupted, invalid (the transform failed).
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(channel_deliver)
int32_t corovan_channels_deliver(const corovan_address *channel, uint64_t tag, const void *bytes, uint32_t len,
    uint32_t n, uint64_t timeout);

/* Has this function of this module (NULL: own) see each message before it is sent on, as a coroutine with the tag and the
 * bytes as arguments, for 5 s at most: bytes that it finishes with are sent on in their place, null or nothing are not; where
 * it fails, nothing is sent. A function_len of 0 ends that. For coroutines of the channel's own computation.
 * Errors: gone, denied, unknown-function, need-module, bad-module, overloaded, node-lost, interrupted.
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(channel_transform)
int32_t corovan_channels_transform(const corovan_address *channel, const corovan_hash *module, const char *function,
    uint32_t function_len);

/* Ends the channel and all subscriptions to it. For coroutines of its own computation.
 * Errors: gone, denied, node-lost.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(channel_close)
int32_t corovan_channels_close(const corovan_address *channel);

/* ---- names: one holder each, found from anywhere ---- */

/* Gives the address this name within the tenant, until it ends.
 * Errors: taken, gone (the holder), denied, overloaded, invalid (the name), timeout, node-lost, interrupted.
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(register)
int32_t corovan_names_register(const char *name, uint32_t name_len, const corovan_address *holder, uint64_t timeout);

/* Gives up a name of a coroutine of this computation.
 * Errors: not-found, denied, invalid (the name).
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(unregister)
int32_t corovan_names_unregister(const char *name, uint32_t name_len);

/* Waits for a holder of this name and writes its address.
 * Errors: timeout, denied, overloaded, invalid (the name), interrupted.
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(locate)
int32_t corovan_names_locate(const char *name, uint32_t name_len, uint64_t timeout, corovan_address *out);

/* ---- services: functions offered to callers who ship no code ---- */

/* Offers this function of this module (NULL: own) at this node under a name, as long as this coroutine lives. With flag
 * COROVAN_TELL it gets a message for each coroutine that is made of it. Where the names of a mesh cannot be asked: timeout.
 * Errors: taken, unknown-function, need-module, bad-module, overloaded, invalid (the name or flags).
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(serve)
int32_t corovan_services_serve(const char *name, uint32_t name_len, const corovan_hash *module, const char *function,
    uint32_t function_len, uint32_t flags);

enum corovan_serve_flags { COROVAN_TELL = 1 };

/* Waits until there is a service of this name, has a coroutine made of it where it is offered, which counts for the caller's
 * computation, and writes its address. args is a CBOR array. With other nodes also denied, node-lost. These are not asked with
 * a timeout of 0: timeout, where it is not offered here.
 * Errors: not-found (the name is no service's), overloaded, too-large, invalid (args, or the name), timeout, interrupted.
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(call)
int32_t corovan_services_call(const char *name, uint32_t name_len, const void *args, uint32_t args_len, uint64_t
    timeout, corovan_address *out);

/* Ends an offer of this computation; what was made of it goes on.
 * Errors: not-found, denied, invalid (the name).
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(unserve)
int32_t corovan_services_unserve(const char *name, uint32_t name_len);

/* ---- node: where this coroutine is, and who else is there ---- */

/* This node as a peer (see README.md), in CBOR: its size; it is in buf if that is at most cap. May be called again.
 * Errors: none.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(location)
int32_t corovan_node_location(void *buf, uint32_t cap);

/* The peers that are there, a CBOR array, without this node.
 * Errors: overloaded.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(peers)
int32_t corovan_node_peers(corovan_part *part, void *buf, uint32_t cap);

/* Whether (1) or not (0) a message comes with those that came, changed or went; the first comes at once, with all that are
 * there. What is not read yet is put together into one.
 * Errors: overloaded.
 * Traps: none.
 * since 1 */
COROVAN_IMPORT(watch_peers)
int32_t corovan_node_watch_peers(uint32_t watch);

/* The peer on whose node this address is (NULL: this node), in CBOR.
 * Errors: not-found, overloaded.
 * Traps: pointer.
 * since 1 */
COROVAN_IMPORT(node_info)
int32_t corovan_node_node_info(const corovan_address *node, corovan_part *part, void *buf, uint32_t cap);

/* ---- locks: named, shared inside one computation on one node ---- */

/* Makes or finds a lock of this enum corovan_lock_kind: a handle of its own. A lock is there while a coroutine has it open.
 * value is a semaphore's count if it is new, or 0 to find one only; 0 for other kinds.
 * Errors: invalid (of another kind, the name, or the value), overloaded.
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(lock_open)
int32_t corovan_locks_open(uint32_t kind, const char *name, uint32_t name_len, uint32_t value);

/* Takes a lock, condition or one of a semaphore. First come, first served. A reentrant lock or condition that this coroutine
 * holds is taken once more; a lock that it holds is waited for like any other.
 * Errors: timeout, interrupted, invalid (an event), overloaded (a reentrant one is held too often).
 * Traps: handle.
 * since 1 */
COROVAN_IMPORT(lock_acquire)
int32_t corovan_locks_acquire(uint32_t lock, uint64_t timeout);

/* Gives it back.
 * Errors: not-held, invalid (an event).
 * Traps: handle.
 * since 1 */
COROVAN_IMPORT(lock_release)
int32_t corovan_locks_release(uint32_t lock);

/* Waits for an event to be set, or for a condition, which must be held, to be notified. The condition is given up meanwhile
 * and held again, as often, when this returns, also at a timeout or interrupt. A timeout of 0 does not give it up.
 * Errors: timeout, interrupted, not-held, invalid (another kind).
 * Traps: handle.
 * since 1 */
COROVAN_IMPORT(lock_wait)
int32_t corovan_locks_wait(uint32_t lock, uint64_t timeout);

/* Wakes n who wait for a condition, which must be held; UINT32_MAX wakes all. How many woke.
 * Errors: not-held, invalid (another kind).
 * Traps: handle.
 * since 1 */
COROVAN_IMPORT(lock_notify)
int32_t corovan_locks_notify(uint32_t lock, uint32_t n);

/* Sets an event and wakes all who wait.
 * Errors: invalid (another kind).
 * Traps: handle.
 * since 1 */
COROVAN_IMPORT(lock_set)
int32_t corovan_locks_set(uint32_t lock);

/* Clears an event.
 * Errors: invalid (another kind).
 * Traps: handle.
 * since 1 */
COROVAN_IMPORT(lock_clear)
int32_t corovan_locks_clear(uint32_t lock);

/* Whether an event is set (1) or not (0).
 * Errors: invalid (another kind).
 * Traps: handle.
 * since 1 */
COROVAN_IMPORT(lock_is_set)
int32_t corovan_locks_is_set(uint32_t lock);

/* Closes the handle. With the last one that a coroutine has of a lock, all that it holds of it is released.
 * Errors: none.
 * Traps: handle.
 * since 1 */
COROVAN_IMPORT(lock_close)
int32_t corovan_locks_close(uint32_t lock);

/* ---- sockets: TCP, TLS done by the node, UDP, names ---- */

/* Connects: a handle.
 * Errors: denied, not-found (the name), closed (refused), timeout, interrupted, overloaded.
 * Traps: pointer, text.
 * planned */
COROVAN_IMPORT(socket_tcp_connect)
int32_t corovan_sockets_tcp_connect(const char *host, uint32_t host_len, uint32_t port, uint64_t timeout);

/* Listens: a handle. Port 0 chooses one.
 * Errors: denied, taken, overloaded, invalid.
 * Traps: pointer, text.
 * planned */
COROVAN_IMPORT(socket_tcp_listen)
int32_t corovan_sockets_tcp_listen(const char *host, uint32_t host_len, uint32_t port);

/* The next connection: a handle.
 * Errors: timeout, interrupted, overloaded.
 * Traps: handle.
 * planned */
COROVAN_IMPORT(socket_tcp_accept)
int32_t corovan_sockets_tcp_accept(uint32_t listener, uint64_t timeout);

/* Connects with TLS and checks the certificate against the host's name: a handle.
 * Errors: denied, not-found, closed, protocol, timeout, interrupted, overloaded.
 * Traps: pointer, text.
 * planned */
COROVAN_IMPORT(socket_tls_connect)
int32_t corovan_sockets_tls_connect(const char *host, uint32_t host_len, uint32_t port, uint64_t timeout);

/* Goes on with TLS on a connection, and checks the certificate against this name.
 * Errors: protocol, closed, timeout, interrupted.
 * Traps: pointer, text, handle.
 * planned */
COROVAN_IMPORT(socket_tls_start)
int32_t corovan_sockets_tls_start(uint32_t socket, const char *host, uint32_t host_len, uint64_t timeout);

/* Reads what is there, at least a byte: how many; 0 at the end.
 * Errors: timeout, interrupted, closed.
 * Traps: pointer, handle.
 * planned */
COROVAN_IMPORT(socket_read_some)
int32_t corovan_sockets_read_some(uint32_t socket, void *buf, uint32_t cap, uint64_t timeout);

/* Reads exactly len bytes, or fewer at the end: how many. After an error what came is still to be read.
 * Errors: timeout, interrupted, closed, too-large.
 * Traps: pointer, handle.
 * planned */
COROVAN_IMPORT(socket_read_exactly)
int32_t corovan_sockets_read_exactly(uint32_t socket, void *buf, uint32_t len, uint64_t timeout);

/* Writes all bytes. After an error it is unknown how many were written.
 * Errors: timeout, interrupted, closed.
 * Traps: pointer, handle.
 * planned */
COROVAN_IMPORT(socket_write_all)
int32_t corovan_sockets_write_all(uint32_t socket, const void *bytes, uint32_t len, uint64_t timeout);

/* Sends one message: its length in four bytes, big-endian, and its bytes.
 * Errors: timeout, interrupted, closed, too-large.
 * Traps: pointer, handle.
 * planned */
COROVAN_IMPORT(socket_send_msg)
int32_t corovan_sockets_send_msg(uint32_t socket, const void *bytes, uint32_t len, uint64_t timeout);

/* Receives one such message: its size.
 * Errors: timeout, interrupted, closed, too-large, overloaded.
 * Traps: pointer, handle.
 * planned */
COROVAN_IMPORT(socket_recv_msg)
int32_t corovan_sockets_recv_msg(uint32_t socket, uint64_t timeout, corovan_part *part, void *buf, uint32_t cap);

/* Ends one direction or both, an enum corovan_shutdown.
 * Errors: closed, invalid.
 * Traps: handle.
 * planned */
COROVAN_IMPORT(socket_shutdown)
int32_t corovan_sockets_shutdown(uint32_t socket, uint32_t how);

/* A UDP socket: a handle. Port 0 chooses one.
 * Errors: denied, taken, overloaded, invalid.
 * Traps: pointer, text.
 * planned */
COROVAN_IMPORT(socket_udp_bind)
int32_t corovan_sockets_udp_bind(const char *host, uint32_t host_len, uint32_t port);

/* Sends one datagram.
 * Errors: denied, not-found, too-large, timeout, interrupted.
 * Traps: pointer, text, handle.
 * planned */
COROVAN_IMPORT(socket_udp_send_to)
int32_t corovan_sockets_udp_send_to(uint32_t socket, const char *host, uint32_t host_len, uint32_t port, const void
    *bytes, uint32_t len, uint64_t timeout);

/* Receives one datagram: its size. from, 64 bytes, gets the sender as text, HOST:PORT, ended by a zero byte.
 * Errors: timeout, interrupted, overloaded.
 * Traps: pointer, handle.
 * planned */
COROVAN_IMPORT(socket_udp_receive_from)
int32_t corovan_sockets_udp_receive_from(uint32_t socket, uint64_t timeout, char *from, corovan_part *part, void *buf,
    uint32_t cap);

/* The addresses of a name, a CBOR array of text.
 * Errors: denied, not-found, timeout, interrupted, overloaded.
 * Traps: pointer, text.
 * planned */
COROVAN_IMPORT(socket_resolve)
int32_t corovan_sockets_resolve(const char *host, uint32_t host_len, uint64_t timeout, corovan_part *part, void *buf,
    uint32_t cap);

/* Own address of a socket as text, HOST:PORT: its size; it is in buf if that is at most cap.
 * Errors: none.
 * Traps: pointer, handle.
 * planned */
COROVAN_IMPORT(socket_local_address)
int32_t corovan_sockets_local_address(uint32_t socket, char *buf, uint32_t cap);

/* The other side's address, likewise.
 * Errors: closed.
 * Traps: pointer, handle.
 * planned */
COROVAN_IMPORT(socket_peer_address)
int32_t corovan_sockets_peer_address(uint32_t socket, char *buf, uint32_t cap);

/* Closes the handle.
 * Errors: none.
 * Traps: handle.
 * planned */
COROVAN_IMPORT(socket_close)
int32_t corovan_sockets_close(uint32_t socket);

/* ---- streams: bounded bytes between coroutines ---- */

/* Makes a stream of this capacity and writes the handles of its reading and writing end.
 * Errors: denied, overloaded, too-large.
 * Traps: pointer.
 * planned */
COROVAN_IMPORT(stream_pipe)
int32_t corovan_streams_pipe(uint32_t capacity, uint32_t ends[2]);

/* Gives an end away: writes a ticket that can be put into arguments or a message. Its handle is closed here.
 * Errors: overloaded.
 * Traps: pointer, handle.
 * planned */
COROVAN_IMPORT(stream_offer)
int32_t corovan_streams_offer(uint32_t stream, uint8_t ticket[32]);

/* Takes an end by its ticket, once: a handle.
 * Errors: gone, denied, timeout, node-lost, interrupted, overloaded.
 * Traps: pointer.
 * planned */
COROVAN_IMPORT(stream_accept)
int32_t corovan_streams_accept(const uint8_t ticket[32], uint64_t timeout);

/* Reads what is there, at least a byte: how many; 0 at the end.
 * Errors: timeout, interrupted, node-lost, invalid (the writing end).
 * Traps: pointer, handle.
 * planned */
COROVAN_IMPORT(stream_read)
int32_t corovan_streams_read(uint32_t stream, void *buf, uint32_t cap, uint64_t timeout);

/* Writes all bytes, waiting for room. How many, which at a timeout may be fewer.
 * Errors: timeout (none), closed, interrupted, node-lost, invalid (the reading end).
 * Traps: pointer, handle.
 * planned */
COROVAN_IMPORT(stream_write)
int32_t corovan_streams_write(uint32_t stream, const void *bytes, uint32_t len, uint64_t timeout);

/* Closes the end; the other sees the end of the stream, or `closed`.
 * Errors: none.
 * Traps: handle.
 * planned */
COROVAN_IMPORT(stream_close)
int32_t corovan_streams_close(uint32_t stream);

/* ---- files: beside WASI's own calls on /in (read-only) and /tmp (private, with a quota) ---- */

/* Keeps a file of /tmp as an output of the job, under this name.
 * Errors: not-found, denied, taken, no-space, invalid (a name).
 * Traps: pointer, text.
 * planned */
COROVAN_IMPORT(file_publish)
int32_t corovan_files_publish(const char *path, uint32_t path_len, const char *name, uint32_t name_len);

/* Keeps bytes as a blob of the tenant and writes its hash.
 * Errors: denied, no-space, too-large, timeout, interrupted.
 * Traps: pointer.
 * planned */
COROVAN_IMPORT(file_blob_put)
int32_t corovan_files_blob_put(const void *bytes, uint32_t len, uint64_t timeout, corovan_hash *out);

/* The size of a blob, fetched from where it is.
 * Errors: not-found, denied, node-lost, timeout, interrupted.
 * Traps: pointer.
 * planned */
COROVAN_IMPORT(file_blob_size)
int64_t corovan_files_blob_size(const corovan_hash *blob, uint64_t timeout);

/* Reads from this offset on: how many bytes; 0 at the end.
 * Errors: not-found, denied, node-lost, timeout, interrupted.
 * Traps: pointer.
 * planned */
COROVAN_IMPORT(file_blob_read)
int32_t corovan_files_blob_read(const corovan_hash *blob, uint64_t offset, void *buf, uint32_t cap, uint64_t timeout);

/* ---- log: what a coroutine tells while it runs ---- */

/* One line at an enum corovan_log_level (4 KiB are kept). What cannot be taken is counted, and the count is told.
 * Errors: invalid (the level).
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(log)
int32_t corovan_log_log(uint32_t level, const char *text, uint32_t len);

/* How far the work has come; total 0 where it is not known. The newest is shown.
 * Errors: none.
 * Traps: pointer, text.
 * since 1 */
COROVAN_IMPORT(progress)
int32_t corovan_log_progress(uint64_t done, uint64_t total, const char *text, uint32_t len);

#ifdef __cplusplus
}
#endif

#endif /* COROVAN_H */
