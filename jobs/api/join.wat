;; join: waits for the end of another: its exit record.
(module
;;! prelude

;; As often as one likes, while the record is kept.
(func (export "normal") (local $who i32)
    (local.set $who (call $child (i32.const 512) (i32.const 13)))
    (call $ended_as (local.get $who) (i32.const 1))
    (call $ended_as (local.get $who) (i32.const 1)))
(data (i32.const 512) "helper_sleeps")
(func (export "helper_sleeps") (call $ok (call $sleep (global.get $SECOND))))

(func (export "normal_under_a_token") (local $who i32) (local $size i32)
    (local.set $who (call $ended))
    (local.set $size (call $join (local.get $who) (i64.const 0) (global.get $PART) (global.get $BUF) (i32.const 0)))
    (call $must (i32.gt_s (local.get $size) (i32.const 0)))
    (call $is (i32.load (global.get $PART)) (local.get $size))
    (call $ok (call $take (i64.load offset=8 (global.get $PART)) (global.get $BUF)))
    (call $outcome_is (global.get $BUF) (local.get $size) (i32.const 1)))

(func (export "error_timeout") (local $before i64)
    (local.set $before (call $monotonic))
    (call $refused (call $join (call $idler) (global.get $SECOND) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND))
    (call $refused (call $join (call $idler) (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))

;; Nothing is known of it, also where it was one of this node before it started anew.
;;! needs earlier-node
(func (export "error_expired")
    (call $refused (call $join (call $forged) (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $EXPIRED))
    (call $refused (call $join (call $arg (i32.const 0)) (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))
        (global.get $EXPIRED)))

;;! needs other-tenant
(func (export "error_denied")
    (call $refused (call $join (call $arg (i32.const 0)) (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $DENIED)))

;;! needs other-node
(func (export "error_node_lost")
    (call $refused (call $join (call $arg (i32.const 0)) (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $NODE_LOST)))

(func (export "error_interrupted")
    (call $interrupter)
    (call $refused (call $join (call $idler) (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $INTERRUPTED)))

;; No token for what does not fit; with room for it there is no need of one.
(func (export "error_overloaded") (local $who i32)
    (call $tokens)
    (local.set $who (call $ended))
    (call $refused (call $join (local.get $who) (i64.const 0) (global.get $PART) (global.get $BUF) (i32.const 8)) (global.get $OVERLOADED))
    (call $ended_as (local.get $who) (i32.const 1)))

(func (export "error_invalid")
    (call $refused (call $join (call $me) (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $INVALID)))

(func (export "trap_pointer") (drop (call $join (call $ended) (i64.const 0) (global.get $PART) (global.get $NOWHERE) (global.get $CAP))))
(func (export "trap_pointer_of_the_part") (drop (call $join (call $ended) (i64.const 0) (global.get $EDGE) (global.get $BUF) (global.get $CAP))))
(func (export "trap_pointer_of_the_address") (drop (call $join (global.get $EDGE) (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP))))
)
