;; deadline: time left of this coroutine's deadline.
(module
;;! prelude

(func (export "normal") (local $before i64)
    (local.set $before (call $deadline))
    (call $must (i64.gt_s (local.get $before) (i64.const 0)))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $elapsed (i64.sub (local.get $before) (call $deadline)) (global.get $SECOND)))
)
