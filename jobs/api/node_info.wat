;; node_info: the node that an address is on, in CBOR.
(module
(import "corovan" "node_info" (func $node_info (param i32 i32 i32 i32) (result i32)))
;;! prelude

(data (i32.const 512) "\64node\4c")

(func $look (param $who i32)
    (call $must (i32.gt_s (call $node_info (local.get $who) (global.get $PART) (global.get $BUF) (global.get $CAP)) (i32.const 20)))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 512) (i32.const 6)))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (call $me) (i32.const 12))))

;; That of one's own address, of another's here, and of none.
(func (export "normal")
    (call $look (call $me))
    (call $look (call $idler))
    (call $look (i32.const 0)))

;;! needs other-node
(func (export "error_not_found")
    (call $refused (call $node_info (call $arg (i32.const 0)) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $NOT_FOUND)))

(func (export "error_overloaded")
    (call $tokens)
    (call $refused (call $node_info (i32.const 0) (global.get $PART) (global.get $BUF) (i32.const 0)) (global.get $OVERLOADED)))

(func (export "trap_pointer") (drop (call $node_info (global.get $EDGE) (global.get $PART) (global.get $BUF) (global.get $CAP))))
(func (export "trap_pointer_of_the_buffer") (drop (call $node_info (i32.const 0) (global.get $PART) (global.get $NOWHERE) (global.get $CAP))))
(func (export "trap_pointer_of_the_part") (drop (call $node_info (i32.const 0) (global.get $EDGE) (global.get $BUF) (global.get $CAP))))
)
