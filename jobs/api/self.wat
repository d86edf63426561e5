;; self: this coroutine's own address.
(module
;;! prelude

;; 32 bytes, the same each time, and where it is reached.
(func (export "normal")
    (call $must (call $same (call $me) (call $me) (i32.const 32)))
    (call $say (call $me) (i64.const 5))
    (call $ok (call $hear (i64.const 5)))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (call $me) (i32.const 32))))

(func (export "trap_pointer") (drop (call $self (global.get $NOWHERE))))

(func (export "trap_pointer_at_the_edge") (drop (call $self (i32.sub (global.get $EDGE) (i32.const 30)))))
)
