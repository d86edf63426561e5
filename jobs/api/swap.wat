;; swap: asks another to go on as another function, and waits for its answer.
(module
;;! prelude

(data (i32.const 512) "helper_willing")
(data (i32.const 530) "helper_successor")
(data (i32.const 550) "helper_unwilling")
(data (i32.const 570) "helper_late")
(data (i32.const 590) "helper_ends_instead")
(data (i32.const 610) "gives")
(data (i32.const 620) "nobody")
(data (i32.const 630) "helper_full")
(data (i32.const 650) "helper_asks_as_well")
(data (i32.const 672) "not today")
(data (i32.const 690) "\65bytes\58\24\81\81\58\20")

;; It is the same coroutine by its address, and what was unread, timed and monitored is still there.
(func (export "normal") (local $who i32)
    (local.set $who (call $child (i32.const 512) (i32.const 14)))
    (call $ok (call $hear (i64.const 20)))
    (call $ok (call $monitor (local.get $who)))
    (call $say (local.get $who) (i64.const 31))
    (call $say (local.get $who) (i64.const 32))
    (call $ok (call $ask (local.get $who)))
    (call $say (local.get $who) (i64.const 33))
    (call $ok (call $hear (i64.const 21)))
    ;; What it was sent, in order; then its timer.
    (call $ok (call $hear (i64.const 31)))
    (call $ok (call $hear (i64.const 32)))
    (call $ok (call $hear (i64.const 33)))
    (call $ok (call $hear (i64.const 40)))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (local.get $who) (i32.const 32)))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $must (i32.gt_s (call $hear (i64.const 0)) (i32.const 0)))
    (call $is (i32.load offset=4 (global.get $MESSAGE)) (i32.const 1))
    ;; Its record tells of the function that it became.
    (call $must (call $has (global.get $BUF) (i32.load (global.get $MESSAGE)) (i32.const 530) (i32.const 16))))

;; The new function's arguments are an array of the state.
;;! needs module
(func (export "normal_of_another_module") (local $who i32)
    (local.set $who (call $child (i32.const 512) (i32.const 14)))
    (call $ok (call $hear (i64.const 20)))
    (call $ok (call $swap (local.get $who) (call $arg (i32.const 0)) (i32.const 610) (i32.const 5) (global.get $FOREVER)))
    (call $ended_as (local.get $who) (i32.const 1))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 690) (i32.const 12))))

;; An interrupt that comes in the middle is not lost: the new function's first waiting call gives it.
(func (export "normal_interrupted") (local $who i32)
    (local.set $who (call $child (i32.const 730) (i32.const 25)))
    (call $ok (call $ask (local.get $who)))
    (call $ok (call $hear (i64.const 21)))
    (call $ended_as (local.get $who) (i32.const 1)))
(data (i32.const 730) "helper_willing_in_trouble")
(func (export "helper_willing_in_trouble")
    (drop (call $arg (i32.const 0)))
    (call $is (call $receive (global.get $FOREVER) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (i32.const 16))
    (call $ok (call $interrupt (call $me) (i32.const 96) (i32.const 4) (i64.const 0)))
    (drop (call $swap_point (global.get $ARGS) (i32.const 35)))
    unreachable)

;; It agrees, and the new instance cannot start: it goes on as it was, and both are told.
;;! needs unstartable
(func (export "error_swap_failed") (local $who i32)
    (local.set $who (call $child (i32.const 512) (i32.const 14)))
    (call $ok (call $hear (i64.const 20)))
    (call $refused (call $swap (local.get $who) (call $arg (i32.const 0)) (i32.const 610) (i32.const 5) (global.get $FOREVER))
        (global.get $SWAP_FAILED))
    (call $ok (call $hear (i64.const 22)))
    ;; Then it may be asked again.
    (call $ok (call $ask (local.get $who)))
    (call $ok (call $hear (i64.const 21))))

;; It declines; its reason is in the detail.
(func (export "error_swap_failed_declined") (local $who i32)
    (local.set $who (call $child (i32.const 550) (i32.const 16)))
    (call $refused (call $ask (local.get $who)) (global.get $SWAP_FAILED))
    (call $must (call $has (global.get $BUF) (call $last_error (global.get $BUF) (global.get $CAP)) (i32.const 672) (i32.const 9))))

;; Nobody can wait for itself.
(func (export "error_swap_failed_itself") (call $refused (call $ask (call $me)) (global.get $SWAP_FAILED)))

;; One at a time. The other who asked is told when we are.
(func (export "error_swap_failed_asked_before") (local $who i32)
    (local.set $who (call $idler))
    (drop (call $spawn_with (local.get $who)))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $refused (call $ask (local.get $who)) (global.get $SWAP_FAILED))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $ok (call $sleep (global.get $SECOND))))
(func (export "helper_asks_as_well")
    (call $refused (call $ask (call $arg (i32.const 0))) (global.get $GONE)))
;; That one, with another's address as its argument.
(func $spawn_with (param $whom i32) (result i32) (local $out i32)
    (local.set $out (call $room))
    (i32.store (i32.const 1100) (i32.const 0x00205881))
    (memory.copy (i32.const 1103) (local.get $whom) (i32.const 32))
    (call $ok (call $spawn (i32.const 650) (i32.const 19) (i32.const 1100) (i32.const 35) (call $options (i32.const 1)) (local.get $out)))
    (local.get $out))

(func (export "error_gone") (call $refused (call $ask (call $ended)) (global.get $GONE)))

;; It ends instead of giving an answer.
(func (export "error_gone_meanwhile")
    (call $refused (call $ask (call $child (i32.const 590) (i32.const 19))) (global.get $GONE)))
(func (export "helper_ends_instead") (call $ok (call $sleep (global.get $SECOND))))

;;! needs other-tenant
(func (export "error_denied") (call $refused (call $ask (call $arg (i32.const 0))) (global.get $DENIED)))

(func (export "error_unknown_function")
    (call $refused (call $swap (call $idler) (i32.const 0) (i32.const 620) (i32.const 6) (global.get $FOREVER)) (global.get $UNKNOWN_FUNCTION)))

(func (export "error_need_module")
    (call $refused (call $swap (call $idler) (i32.const 512) (i32.const 610) (i32.const 5) (global.get $FOREVER)) (global.get $NEED_MODULE)))

;;! needs bad-module
(func (export "error_bad_module")
    (call $refused (call $swap (call $idler) (call $arg (i32.const 0)) (i32.const 610) (i32.const 5) (global.get $FOREVER)) (global.get $BAD_MODULE)))

;; Who asked has given up: then nothing is asked for any more, and the target goes on.
(func (export "error_timeout") (local $who i32)
    (local.set $who (call $child (i32.const 570) (i32.const 11)))
    (call $refused (call $swap (local.get $who) (i32.const 0) (i32.const 530) (i32.const 16) (global.get $SECOND)) (global.get $TIMEOUT))
    (call $ok (call $hear (i64.const 23)))
    (call $ended_as (local.get $who) (i32.const 1)))
(func (export "helper_late")
    (call $ok (call $sleep (i64.mul (global.get $SECOND) (i64.const 2))))
    (call $refused (call $swap_point (i32.const 168) (i32.const 1)) (global.get $NOT_FOUND))
    (call $refused (call $swap_refuse (i32.const 0) (i32.const 0)) (global.get $NOT_FOUND))
    (call $say (call $arg (i32.const 0)) (i64.const 23)))

;;! needs other-node
(func (export "error_node_lost") (call $refused (call $ask (call $arg (i32.const 0))) (global.get $NODE_LOST)))

(func (export "error_interrupted")
    (call $interrupter)
    (call $refused (call $ask (call $idler)) (global.get $INTERRUPTED)))

;; All its system messages are spoken for: no room for the question.
(func (export "error_overloaded") (local $who i32)
    (local.set $who (call $child (i32.const 630) (i32.const 11)))
    (call $ok (call $hear (i64.const 24)))
    (call $refused (call $ask (local.get $who)) (global.get $OVERLOADED)))
(func (export "helper_full")
    (call $timers)
    (call $say (call $arg (i32.const 0)) (i64.const 24))
    (drop (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))))

(func (export "trap_pointer") (drop (call $swap (call $idler) (i32.const 0) (global.get $EDGE) (i32.const 2) (i64.const 0))))
(func (export "trap_pointer_of_the_module") (drop (call $swap (call $idler) (global.get $EDGE) (i32.const 530) (i32.const 16) (i64.const 0))))
(func (export "trap_pointer_of_the_address") (drop (call $swap (global.get $EDGE) (i32.const 0) (i32.const 530) (i32.const 16) (i64.const 0))))
(func (export "trap_text") (drop (call $swap (call $idler) (i32.const 0) (i32.const 160) (i32.const 2) (i64.const 0))))

(func $ask (param $who i32) (result i32)
    (call $swap (local.get $who) (i32.const 0) (i32.const 530) (i32.const 16) (global.get $FOREVER)))

;; Agrees to every swap, with its arguments as the state.
(func (export "helper_willing") (local $parent i32)
    (local.set $parent (call $arg (i32.const 0)))
    (call $must (i64.gt_s (call $send_after (i64.mul (global.get $SECOND) (i64.const 5)) (call $me) (i64.const 40) (i32.const 0) (i32.const 0)) (i64.const 0)))
    (call $say (local.get $parent) (i64.const 20))
    (loop $more
        (call $is (call $receive (global.get $FOREVER) (call $by_kind (i32.const 4)) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP))
            (i32.load (global.get $MESSAGE)))
        (call $refused (call $swap_point (global.get $ARGS) (i32.const 35)) (global.get $SWAP_FAILED))
        (call $say (local.get $parent) (i64.const 22))
        (br $more)))

;; Sends the tag of everything back, until it is interrupted.
(func (export "helper_successor") (local $parent i32)
    (call $is (call $args (global.get $ARGS) (i32.const 100)) (i32.const 36))
    (local.set $parent (i32.add (global.get $ARGS) (i32.const 4)))
    (call $say (local.get $parent) (i64.const 21))
    (loop $more
        (if (i32.lt_s (call $receive (global.get $FOREVER) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (i32.const 0))
            (then (return)))
        (drop (call $send (local.get $parent) (i64.load offset=8 (global.get $MESSAGE)) (i32.const 0) (i32.const 0) (i64.const 0)))
        (br $more)))

(func (export "helper_unwilling")
    (call $is (call $receive (global.get $FOREVER) (call $by_kind (i32.const 4)) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (i32.const 16))
    ;; The question tells what it is to become.
    (call $must (call $same (global.get $BUF) (i32.const 530) (i32.const 16)))
    (call $ok (call $swap_refuse (i32.const 672) (i32.const 9)))
    (drop (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))))
)
