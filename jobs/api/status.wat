;; status: what another does, in CBOR.
(module
;;! prelude

(data (i32.const 512) "state")
(data (i32.const 520) "\67waiting\67suspend")
(data (i32.const 540) "helper_idles")
(data (i32.const 560) "helper_sends_to_us")
(data (i32.const 580) "\67senders\01")
(data (i32.const 592) "\67mailbox\19\27\10")

(func (export "normal") (local $who i32)
    (local.set $who (call $idler))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $look (local.get $who))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 512) (i32.const 5)))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 520) (i32.const 16)))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 540) (i32.const 12))))

;; Oneself, with a full mailbox and one that waits to send.
(func (export "normal_full_mailbox")
    (call $fill (call $me))
    (drop (call $child (i32.const 560) (i32.const 18)))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $look (call $me))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 580) (i32.const 9)))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 592) (i32.const 11))))
(func (export "helper_sends_to_us")
    (drop (call $send (call $arg (i32.const 0)) (i64.const 1) (i32.const 0) (i32.const 0) (global.get $FOREVER))))

(func $look (param $who i32)
    (call $must (i32.gt_s (call $status (local.get $who) (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP)) (i32.const 0)))
    (call $is64 (i64.load offset=8 (global.get $PART)) (i64.const 0)))

(func (export "error_gone")
    (call $refused (call $status (call $ended) (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $GONE)))

;;! needs other-tenant
(func (export "error_denied")
    (call $refused (call $status (call $arg (i32.const 0)) (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $DENIED)))

;;! needs other-node
(func (export "error_node_lost")
    (call $refused (call $status (call $arg (i32.const 0)) (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $NODE_LOST)))

(func (export "error_overloaded")
    (call $tokens)
    (call $refused (call $status (call $me) (i64.const 0) (global.get $PART) (global.get $BUF) (i32.const 0)) (global.get $OVERLOADED)))

(func (export "trap_pointer") (drop (call $status (call $me) (i64.const 0) (global.get $PART) (global.get $NOWHERE) (global.get $CAP))))
(func (export "trap_pointer_of_the_part") (drop (call $status (call $me) (i64.const 0) (global.get $EDGE) (global.get $BUF) (global.get $CAP))))
(func (export "trap_pointer_of_the_address") (drop (call $status (global.get $EDGE) (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP))))
)
