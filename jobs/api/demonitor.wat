;; demonitor: no exit message comes any more.
(module
;;! prelude

(func (export "normal") (local $who i32)
    (local.set $who (call $idler))
    (call $ok (call $monitor (local.get $who)))
    (call $ok (call $demonitor (local.get $who)))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $is (call $receive (global.get $SECOND) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))

;; It may be asked for again.
(func (export "normal_and_again") (local $who i32)
    (local.set $who (call $idler))
    (call $ok (call $monitor (local.get $who)))
    (call $ok (call $demonitor (local.get $who)))
    (call $ok (call $monitor (local.get $who)))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $must (i32.gt_s (call $hear (i64.const 0)) (i32.const 0)))
    (call $is (call $receive (global.get $SECOND) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))

;; Nobody that is monitored; a second time; after the message came.
(func (export "error_not_found") (local $who i32)
    (local.set $who (call $idler))
    (call $refused (call $demonitor (local.get $who)) (global.get $NOT_FOUND))
    (call $ok (call $monitor (local.get $who)))
    (call $ok (call $demonitor (local.get $who)))
    (call $refused (call $demonitor (local.get $who)) (global.get $NOT_FOUND))
    (call $ok (call $monitor (local.get $who)))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $refused (call $demonitor (local.get $who)) (global.get $NOT_FOUND))
    (call $must (i32.gt_s (call $hear (i64.const 0)) (i32.const 0))))

(func (export "trap_pointer") (drop (call $demonitor (global.get $EDGE))))
)
