;; set_daemon: whether this coroutine keeps its computation open.
(module
;;! prelude

(data (i32.const 512) "helper_stays_on")

;; As often as one likes. The harness sees to it that the computation ends with us, although the child goes on.
(func (export "normal")
    (drop (call $child_with (i32.const 512) (i32.const 15) (i32.const 0)))
    (call $ok (call $set_daemon (i32.const 1)))
    (call $ok (call $set_daemon (i32.const 1)))
    (call $ok (call $set_daemon (i32.const 0)))
    (call $ok (call $set_daemon (i32.const 0)))
    (call $ok (call $sleep (global.get $SECOND))))
(func (export "helper_stays_on")
    (call $ok (call $set_daemon (i32.const 1)))
    (call $is (call $sleep (global.get $FOREVER)) (global.get $INTERRUPTED)))

;; A daemon may become a working coroutine.
(func (export "normal_no_more")
    (drop (call $child (i32.const 540) (i32.const 18))))
(data (i32.const 540) "helper_works_after")
(func (export "helper_works_after")
    (call $ok (call $set_daemon (i32.const 0)))
    (call $ok (call $sleep (global.get $SECOND))))
)
