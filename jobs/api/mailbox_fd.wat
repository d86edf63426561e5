;; mailbox_fd: the mailbox as a WASI descriptor, for runtimes that wait in poll_oneoff alone.
(module
(import "corovan" "mailbox_fd" (func $mailbox_fd (result i32)))
(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fd_fdstat_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_fdstat_set_flags" (func $fd_fdstat_set_flags (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_renumber" (func $fd_renumber (param i32 i32) (result i32)))
;;! prelude

(data (i32.const 512) "helper_speaks")

;; Errno of WASI.
(global $EAGAIN i32 (i32.const 6))
(global $EBADF i32 (i32.const 8))
(global $ENOTSUP i32 (i32.const 58))
;; Two subscriptions, two events, how many events; a fdstat; an iovec, how much was read, and where to.
(global $SUBS i32 (i32.const 16384))
(global $EVENTS i32 (i32.const 16512))
(global $NEVENTS i32 (i32.const 16640))
(global $STAT i32 (i32.const 16656))
(global $IOVEC i32 (i32.const 16688))
(global $GOT i32 (i32.const 16696))
(global $BYTES i32 (i32.const 16704))

;; Waits for the descriptor (userdata 1) and for so long (userdata 2): which came first. Only the one that came is told.
(func $first (param $fd i32) (param $timeout i64) (result i64)
    (memory.fill (global.get $SUBS) (i32.const 0) (i32.const 256))
    (i64.store (global.get $SUBS) (i64.const 1))
    (i32.store8 offset=8 (global.get $SUBS) (i32.const 1))
    (i32.store offset=16 (global.get $SUBS) (local.get $fd))
    (i64.store offset=48 (global.get $SUBS) (i64.const 2))
    (i32.store offset=64 (global.get $SUBS) (i32.const 1))
    (i64.store offset=72 (global.get $SUBS) (local.get $timeout))
    (call $ok (call $poll_oneoff (global.get $SUBS) (global.get $EVENTS) (i32.const 2) (global.get $NEVENTS)))
    (call $is (i32.load (global.get $NEVENTS)) (i32.const 1))
    (i64.load (global.get $EVENTS)))

(func $errno (result i32) (i32.load16_u offset=8 (global.get $EVENTS)))

;; A second passes where it is not.
(func $is_readable (param $fd i32) (result i32)
    (if (i64.ne (call $first (local.get $fd) (global.get $SECOND)) (i64.const 1)) (then (return (i32.const 0))))
    (call $ok (call $errno))
    (call $is (i32.load8_u offset=10 (global.get $EVENTS)) (i32.const 1))
    (i32.const 1))

;; fd_read into a buffer of so many bytes.
(func $read (param $fd i32) (param $len i32) (result i32)
    (i32.store (global.get $IOVEC) (global.get $BYTES))
    (i32.store offset=4 (global.get $IOVEC) (local.get $len))
    (i32.store (global.get $GOT) (i32.const -1))
    (call $fd_read (local.get $fd) (global.get $IOVEC) (i32.const 1) (global.get $GOT)))

;; The same number every time, above those of files.
(func (export "normal") (local $fd i32)
    (local.set $fd (call $mailbox_fd))
    (call $is (local.get $fd) (i32.const 64))
    (call $is (call $mailbox_fd) (local.get $fd)))

;; Before it is asked for there is no such descriptor.
(func (export "normal_not_there_unasked")
    (call $is (call $read (i32.const 64) (i32.const 1)) (global.get $EBADF))
    (call $is (call $fd_close (i32.const 64)) (global.get $EBADF))
    (call $is (call $fd_fdstat_get (i32.const 64) (global.get $STAT)) (global.get $EBADF))
    (call $is (call $fd_fdstat_set_flags (i32.const 64) (i32.const 4)) (global.get $EBADF))
    (call $is64 (call $first (i32.const 64) (global.get $SECOND)) (i64.const 1))
    (call $is (call $errno) (global.get $EBADF)))

;; Readable as long as there is a message of any kind; looking and reading leave it.
(func (export "normal_readable_by_a_message") (local $fd i32) (local $me i32)
    (local.set $fd (call $mailbox_fd))
    (local.set $me (call $me))
    (call $ok (call $is_readable (local.get $fd)))
    (call $say (local.get $me) (i64.const 7))
    (call $must (call $is_readable (local.get $fd)))
    (call $ok (call $read (local.get $fd) (i32.const 8)))
    (call $is (i32.load (global.get $GOT)) (i32.const 1))
    (call $must (call $is_readable (local.get $fd)))
    (call $ok (call $hear (i64.const 7)))
    (call $ok (call $is_readable (local.get $fd)))
    (call $must (i64.gt_s (call $send_after (i64.const 0) (local.get $me) (i64.const 5) (i32.const 0) (i32.const 0)) (i64.const 0)))
    (call $is64 (call $first (local.get $fd) (global.get $SECOND)) (i64.const 1))
    (call $ok (call $hear (i64.const 5))))

;; Waits as poll_oneoff does: for the clock where no message comes, for a message that comes while it waits.
(func (export "normal_waits") (local $fd i32) (local $start i64)
    (local.set $fd (call $mailbox_fd))
    (local.set $start (call $monotonic))
    (call $is64 (call $first (local.get $fd) (i64.const 5000000000)) (i64.const 2))
    (call $elapsed (i64.sub (call $monotonic) (local.get $start)) (i64.const 5000000000))
    (drop (call $child (i32.const 512) (i32.const 13)))
    (call $is64 (call $first (local.get $fd) (i64.const 100000000000)) (i64.const 1))
    (call $elapsed (i64.sub (call $monotonic) (local.get $start)) (i64.const 6000000000))
    (call $ok (call $hear (i64.const 3))))

;; An exit message counts.
(func (export "normal_readable_by_an_exit") (local $fd i32)
    (local.set $fd (call $mailbox_fd))
    (drop (call $child_with (i32.const 64) (i32.const 11) (i32.const 3)))
    (call $is64 (call $first (local.get $fd) (i64.const 100000000000)) (i64.const 1))
    (call $must (i32.gt_s (call $receive (i64.const 0) (call $by_kind (i32.const 1)) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP))
        (i32.const 0)))
    (call $ok (call $is_readable (local.get $fd))))

;; So does an interrupt, which the next receive gives; without it a runtime that waits here would never hear of it.
(func (export "normal_readable_by_an_interrupt") (local $fd i32)
    (local.set $fd (call $mailbox_fd))
    (call $interrupter)
    (call $is64 (call $first (local.get $fd) (i64.const 100000000000)) (i64.const 1))
    (call $ok (call $read (local.get $fd) (i32.const 1)))
    (call $refused (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP))
        (global.get $INTERRUPTED))
    (call $ok (call $is_readable (local.get $fd))))

;; It never waits, says so, and can be told so.
(func (export "normal_never_blocks") (local $fd i32)
    (local.set $fd (call $mailbox_fd))
    (call $is (call $read (local.get $fd) (i32.const 8)) (global.get $EAGAIN))
    (call $ok (call $fd_fdstat_get (local.get $fd) (global.get $STAT)))
    (call $is (i32.load16_u offset=2 (global.get $STAT)) (i32.const 4))
    ;; It can be read and waited for.
    (call $is64 (i64.load offset=8 (global.get $STAT)) (i64.const 0x8000002))
    (call $ok (call $fd_fdstat_set_flags (local.get $fd) (i32.const 4)))
    (call $is (call $fd_fdstat_set_flags (local.get $fd) (i32.const 0)) (global.get $ENOTSUP))
    (call $say (call $me) (i64.const 7))
    ;; No room for the byte.
    (call $ok (call $read (local.get $fd) (i32.const 0)))
    (call $ok (i32.load (global.get $GOT)))
    (call $is (call $fd_write (local.get $fd) (global.get $IOVEC) (i32.const 1) (global.get $GOT)) (global.get $EBADF))
    (call $is (call $fd_renumber (local.get $fd) (i32.const 0)) (global.get $ENOTSUP))
    (call $ok (call $hear (i64.const 7))))

;; Closed, it is as if it had never been asked for, and the mailbox goes on; it can be asked for again.
(func (export "normal_closes") (local $fd i32)
    (local.set $fd (call $mailbox_fd))
    (call $say (call $me) (i64.const 7))
    (call $ok (call $fd_close (local.get $fd)))
    (call $is (call $fd_close (local.get $fd)) (global.get $EBADF))
    (call $is (call $read (local.get $fd) (i32.const 1)) (global.get $EBADF))
    (call $is64 (call $first (local.get $fd) (global.get $SECOND)) (i64.const 1))
    (call $is (call $errno) (global.get $EBADF))
    (call $is (call $mailbox_fd) (local.get $fd))
    (call $must (call $is_readable (local.get $fd)))
    (call $ok (call $hear (i64.const 7))))

(func (export "helper_speaks")
    (call $ok (call $sleep (global.get $SECOND)))
    (call $say (call $arg (i32.const 0)) (i64.const 3)))
)
