;; terminate: ends another, and waits until it has ended.
(module
;;! prelude

(data (i32.const 512) "helper_stays")
(data (i32.const 530) "helper_tidies_up")

;; At once where it goes.
(func (export "normal") (local $who i32) (local $before i64)
    (local.set $who (call $idler))
    (local.set $before (call $monotonic))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (i64.const 0))
    (call $ended_as (local.get $who) (i32.const 8)))

;; Hard, after its grace period, where it stays.
(func (export "normal_hard") (local $who i32) (local $before i64)
    (local.set $who (call $child (i32.const 512) (i32.const 12)))
    (call $ok (call $sleep (global.get $SECOND)))
    (local.set $before (call $monotonic))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND))
    (call $ended_as (local.get $who) (i32.const 8)))
(func (export "helper_stays") (loop $more (drop (call $sleep (global.get $FOREVER))) (br $more)))

;; What it gave in time is in its record.
(func (export "normal_with_a_value") (local $who i32)
    (local.set $who (call $child (i32.const 530) (i32.const 16)))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $ended_as (local.get $who) (i32.const 8))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 550) (i32.const 8))))
(data (i32.const 550) "\65bytes\41\80")
(func (export "helper_tidies_up")
    (call $is (call $sleep (global.get $FOREVER)) (global.get $INTERRUPTED))
    (call $ok (call $finish (i32.const 168) (i32.const 1))))

;; One that has ended, or was never there, is no error: it is not there.
(func (export "normal_ended")
    (call $ok (call $terminate (call $ended) (i64.const 0)))
    (call $ok (call $terminate (call $forged) (i64.const 0))))

;; Before it ever ran.
(func (export "normal_not_begun") (local $who i32)
    (local.set $who (call $child (i32.const 512) (i32.const 12)))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $ended_as (local.get $who) (i32.const 8)))

;;! needs other-tenant
(func (export "error_denied")
    (call $refused (call $terminate (call $arg (i32.const 0)) (global.get $FOREVER)) (global.get $DENIED)))

;;! needs other-node
(func (export "error_node_lost")
    (call $refused (call $terminate (call $arg (i32.const 0)) (global.get $FOREVER)) (global.get $NODE_LOST)))

;; It ends all the same.
(func (export "error_timeout") (local $who i32)
    (local.set $who (call $child (i32.const 512) (i32.const 12)))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $refused (call $terminate (local.get $who) (i64.const 1000000)) (global.get $TIMEOUT))
    (call $ended_as (local.get $who) (i32.const 8)))

(func (export "error_interrupted") (local $who i32)
    (local.set $who (call $child (i32.const 512) (i32.const 12)))
    (call $ok (call $yield))
    (call $ok (call $interrupt (call $me) (i32.const 96) (i32.const 4) (i64.const 0)))
    (call $refused (call $terminate (local.get $who) (global.get $FOREVER)) (global.get $INTERRUPTED))
    (call $ended_as (local.get $who) (i32.const 8)))

;; Oneself: told once, and what is given then is the value.
(func (export "terminated_itself")
    (call $refused (call $terminate (call $me) (global.get $FOREVER)) (global.get $INTERRUPTED))
    (call $ok (call $sleep (i64.const 1000)))
    (call $ok (call $finish (i32.const 168) (i32.const 1))))

(func (export "trap_pointer") (drop (call $terminate (global.get $EDGE) (i64.const 0))))
)
