//! Every bound of the product, named, with its reason. A full queue yields `Code::Overloaded`, which callers see.

mod durable;
mod http;
mod mail;
mod placement;

pub use durable::*;
pub use http::*;
pub use mail::*;
pub use placement::*;
use std::time::Duration;

/// Newest protocol this build speaks, and the oldest it still understands.
pub const PROTOCOL_VERSION: u16 = 1;
pub const PROTOCOL_VERSION_MIN: u16 = 1;

/// Version of the host interface (imports from module `corovan`).
pub const ABI_VERSION: u32 = 1;

/// A payload up to this travels inside its frame; a larger one takes a stream of its own, so that it delays no other job.
pub const INLINE_PAYLOAD: usize = 64 << 10;
/// Head of a frame: CBOR record. Small, so that a peer cannot make us decode much before we know what it is about.
pub const FRAME_HEAD: usize = 63 << 10;
/// Everything after a frame's header.
pub const FRAME_BODY: usize = INLINE_PAYLOAD + FRAME_HEAD;
/// Nesting of a CBOR record or argument; deeper is refused instead of growing the stack.
pub const CBOR_DEPTH: usize = 64;

/// A module's bytes. Larger ones cost more compile time than a node should spend on one request.
pub const MODULE_BYTES: usize = 32 << 20;
/// Imports, exports and functions of a module, counted before it is compiled.
pub const MODULE_IMPORTS: usize = 1_000;
pub const MODULE_EXPORTS: usize = 10_000;
pub const MODULE_FUNCTIONS: usize = 100_000;
/// Elements of a module's one table; the pool reserves room for so many.
pub const TABLE_ELEMENTS: usize = 20_000;
/// Bytes of all modules and native code a node keeps; least recently used go first.
pub const STORE_BYTES: u64 = 4 << 30;

/// A job's arguments, and its result. Larger data is a blob's business.
pub const ARGUMENT_BYTES: usize = 16 << 20;
pub const RESULT_BYTES: usize = 16 << 20;
/// All of a job's argv and environment together.
pub const ARGV_BYTES: usize = 56 << 10;
/// A function's or tenant's or node's name.
pub const NAME_BYTES: usize = 128;
/// Text of a failure, a log line, a progress line; longer is cut, and says so.
pub const TEXT_BYTES: usize = 4 << 10;
/// A backtrace's text in an exit record.
pub const BACKTRACE_BYTES: usize = 8 << 10;
/// Frames of a backtrace.
pub const BACKTRACE_FRAMES: usize = 20;

/// Linear memory of a coroutine when nothing else is asked for.
pub const MEMORY_DEFAULT: u64 = 64 << 20;
/// The most a coroutine may ask for.
pub const MEMORY_MAX: u64 = 1 << 30;
/// Bytes one host call may copy for the guest (wasmtime's default is 128 MiB).
pub const HOSTCALL_BYTES: usize = 4 << 20;
/// Wasm stack of a coroutine; the fiber has twice as much, so host frames always fit.
pub const WASM_STACK: usize = 512 << 10;
pub const FIBER_STACK: usize = 1 << 20;
/// Results kept under tokens for a guest that gave too small a buffer.
pub const PENDING_TOKENS: usize = 16;
/// Things one `wait` or `poll_oneoff` call may name.
pub const WAIT_SET: usize = 256;
/// Of these, filters of messages: each is looked for in the whole mailbox.
pub const WAIT_FILTERS: usize = 16;

/// A mailbox: ordinary messages, their bytes, and one message's bytes.
pub const MAILBOX_MESSAGES: usize = 10_000;
pub const MAILBOX_BYTES: usize = 16 << 20;
pub const MESSAGE_BYTES: usize = 1 << 20;
/// System messages of one coroutine that are on their way or unread: own timers, exits of those it monitors. Room for
/// them is promised when their cause is made.
pub const MAILBOX_RESERVED: usize = 100_000;
/// What is counted as held for a request that was received and not answered, which may be all that is left of who asked.
pub const REPLY_BYTES: u64 = 1 << 10;
/// What a message, and the promise of one, takes beside its bytes.
pub const LETTER_BYTES: u64 = 256;
/// Of its mailbox, what belongs to every coroutine without being counted for its tenant.
pub const MAILBOX_FREE: u64 = 4 << 10;
/// What is counted for a tenant where counting each byte would cost more than it is worth.
pub const HELD_STEP: u64 = 64 << 10;
/// Timers of one coroutine whose messages go to others; those to itself are bounded by [`MAILBOX_RESERVED`].
pub const COROUTINE_TIMERS: usize = 100_000;
/// Timers that fire before others run: a tenant may have very many due at once.
pub const TIMER_BATCH: usize = 1_024;
/// Requests that a coroutine has received and not answered yet; the oldest is given up for a new one.
pub const OPEN_REPLIES: usize = 10_000;
/// How often a reentrant lock is held at a time: a recursion of so many calls does not fit a guest's stack.
pub const LOCK_DEPTH: u32 = 1 << 16;
/// Locks, conditions, events and semaphores of a computation on a node.
pub const COMPUTATION_LOCKS: usize = 10_000;
/// Handles of one coroutine.
pub const COROUTINE_HANDLES: usize = 1_024;
/// What is counted as held for a handle and the lock that it may be the only one to keep.
pub const HANDLE_BYTES: u64 = 512;
/// Refusals of one tenant are logged at most so often; each line says how many there were since the last.
pub const DENIALS_LOGGED: Duration = Duration::from_secs(1);
/// Names of a tenant on a node, and coroutines of it that wait for one.
pub const TENANT_NAMES: usize = 10_000;
/// Exit records of ended coroutines of one computation: how many, how long, and bytes of them together.
pub const EXITS_KEPT: usize = 10_000;
pub const EXITS_TIME: Duration = Duration::from_secs(60);
pub const EXITS_BYTES: u64 = 16 << 20;
/// A value up to this is part of an exit message; a larger one is there for `join`.
pub const EXIT_VALUE_BYTES: usize = 64 << 10;
/// Between asking a coroutine for a swap and its answer, at most; also where its caller waits for ever.
pub const SWAP_TIME: Duration = Duration::from_secs(3600);

/// Channels of one tenant on one node, and subscriptions of channels to channels: a new one is checked against all, which
/// so takes a few milliseconds at most.
pub const TENANT_CHANNELS: usize = 10_000;
pub const TENANT_CHANNEL_EDGES: usize = 10_000;
/// Subscribers of one channel: one message is not to take longer than a blink.
pub const CHANNEL_SUBSCRIBERS: usize = 100_000;
/// Channels that a message goes through after the first. Hierarchies are not deep; more than this is a mistake.
pub const CHANNEL_HOPS: usize = 8;
/// Subscribers that are served before others run.
pub const CHANNEL_BATCH: usize = 128;
/// What is counted as held for a channel, and for a subscription: about what they take.
pub const CHANNEL_BYTES: u64 = 1 << 10;
pub const SUBSCRIPTION_BYTES: u64 = 512;
/// Messages of a channel that wait for the way to one other node, or there for those before them.
pub const BRANCH_POSTS: usize = 4_096;
/// What a subscription across nodes may take where whoever asks for it would wait for ever: nodes that live answer at once.
pub const CHANNEL_CALL: Duration = Duration::from_secs(10);
/// Channels of other nodes that are asked for their neighbours before a subscription of a channel is refused.
pub const CHANNEL_WALK: usize = 4_096;
/// What is counted as held for what another node has this one do about channels, as long as that takes.
pub const ERRAND_BYTES: u64 = 4 << 10;
/// What is counted as held for a service, beside its names.
pub const SERVICE_BYTES: u64 = 512;
/// Coroutines of one node that are told when the peers change, and peers in one such message.
pub const PEER_WATCHERS: usize = 1_000;
pub const PEER_NOTICE: usize = 1_000;
/// What a transform may take for one message; whoever sent it, and all behind, wait for it.
pub const TRANSFORM_TIME: Duration = Duration::from_secs(5);

/// Wall time of a coroutine when the client names none, and the most it may name.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(3600);
pub const DEADLINE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Between `interrupt` and the hard stop of a termination.
pub const TERMINATE_GRACE: Duration = Duration::from_secs(1);
/// How long a node that was asked to stop waits for what runs.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// The same, if it is told otherwise.
pub const SHUTDOWN_GRACE_MAX: Duration = Duration::from_secs(60);
/// A configuration file: a thousand times what one needs.
pub const CONFIG_BYTES: u64 = 1 << 20;
/// Between two looks at the wall clock, which may be set, by a node that has service hours.
pub const HOURS_LOOK: Duration = Duration::from_secs(30);
/// Start functions and `_initialize` must be done in this time.
pub const START_TIME: Duration = Duration::from_secs(5);

/// Epoch tick while something runs; a hard stop is noticed within one.
pub const EPOCH_TICK: Duration = Duration::from_millis(2);
/// Time slice of a guest that does not yield.
pub const SLICE: Duration = Duration::from_millis(10);
/// The same when a scheduler is driven by hand: fuel units, since epochs follow real time.
pub const SLICE_FUEL: u64 = 1_000_000;

/// Coroutines of one tenant on one node.
pub const TENANT_COROUTINES: u64 = 100_000;
/// Linear memory of one tenant on one node.
pub const TENANT_MEMORY: u64 = 64 << 30;
/// What a node keeps in memory for one tenant beside its coroutines: specs, open jobs with arguments and input, unsent log
/// lines and exits, results, modules on their way.
pub const TENANT_HELD_BYTES: u64 = 256 << 20;
/// Connections of one tenant on one node; the others are left to other tenants.
pub const TENANT_CONNECTIONS: u64 = 64;
/// What is counted as held for an open job, and for a spec, beside their data: about what they take.
pub const JOB_BYTES: usize = 1 << 10;
pub const SPEC_BYTES: usize = 4 << 10;
/// The same for each string of an argv or environment, and each log line: a string of one byte takes much more than one.
pub const STRING_BYTES: usize = 64;
/// Jobs a client may have open in one computation: waiting for a slot, running, or ended with the exit not yet written.
pub const COMPUTATION_JOBS: usize = 100_000;
/// Specs (module and function pairs) of one computation.
pub const COMPUTATION_SPECS: usize = 256;
/// Computations of one connection, and connections of one node.
pub const CONNECTION_COMPUTATIONS: usize = 16;
pub const NODE_CONNECTIONS: usize = 1_024;
/// Instance slots beyond those that one tenant may take, so that another that comes later is served at once.
pub const RESERVED_SLOTS: u32 = 64;
/// Jobs that wait on a node for an instance slot.
pub const NODE_QUEUE: usize = 1_000_000;

/// Output a job may have in flight before the client grants more; the guest waits, nothing is dropped.
pub const OUTPUT_CREDIT: u32 = 256 << 10;
/// Output a coroutine may have buffered on the node.
pub const OUTPUT_BUFFER: usize = 64 << 10;
/// Pieces that the same is in: output of one stream that follows output of the other is a new one.
pub const OUTPUT_PIECES: usize = 1_024;
/// Stdin buffered on the node for one job.
pub const STDIN_BUFFER: usize = 64 << 10;
/// Log lines of one coroutine waiting to be sent; more are counted and the count is sent.
pub const LOG_LINES: usize = 256;
/// Bytes a node has encoded for one client and not yet handed to QUIC. Above it the reader of that client's frames pauses.
pub const OUTBOX_BYTES: usize = 2 << 20;

/// Silence after which the other side of a connection is taken for lost, and how often we break it.
pub const SILENCE: Duration = Duration::from_millis(2_500);
/// QUIC begins the silence anew with the first thing it sends into it, and that is what breaks it: who is dead is known as such
/// after both times, which is to be less than 3 s.
pub const KEEP_ALIVE: Duration = Duration::from_millis(400);
/// Establishing a connection, and the first exchange on it.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Flow-control windows of a connection and of one of its streams.
pub const CONNECTION_WINDOW: u32 = 16 << 20;
pub const STREAM_WINDOW: u32 = 2 << 20;
/// Streams a client may have open at a time: control streams (two-way), and modules, large payloads and stdin (one-way).
/// More control streams than computations: one is the connection's first exchange, QUIC announces freed ones only when
/// an eighth of them are free, and a computation too many is to be refused in words rather than left waiting.
pub const CLIENT_BIDI_STREAMS: u32 = 20;
pub const CLIENT_UNI_STREAMS: u32 = 32;
/// Modules and large arguments that are received at a time on one connection; others wait, held back by flow control.
pub const CONNECTION_UPLOADS: usize = 2;
/// Streams a node may have open towards a client at a time: results too large for their frame.
pub const NODE_UNI_STREAMS: u32 = 32;
/// Bytes QUIC may hold for one connection until they are acknowledged.
pub const SEND_WINDOW: u64 = 8 << 20;
/// Stdin streams of one connection. A program may leave its input unread for as long as it likes, and what is unread
/// takes room in the connection's window: `STDIN_STREAMS * STREAM_WINDOW` must leave most of it to everything else.
pub const STDIN_STREAMS: usize = 3;
/// Bytes a client has encoded and not yet handed to QUIC; above it `submit` waits.
pub const CLIENT_OUTBOX_BYTES: usize = 4 << 20;
/// Bytes asked of a stream at a time, so that many small frames cost one read.
pub const READ_BYTES: usize = 64 << 10;
/// Events of one job that a client keeps apart while its user does not take them. Output beyond it is joined to what
/// waits, log lines beyond it are counted as dropped.
pub const JOB_EVENTS: usize = 256;
/// Between starting a connection attempt to one address of a name and starting the next.
pub const ADDRESS_STAGGER: Duration = Duration::from_millis(250);
/// Addresses of one name that a client tries.
pub const ADDRESSES: usize = 8;
/// Certificates of one chain, and bytes of a file with certificates or a key.
pub const CERTIFICATE_CHAIN: usize = 8;
pub const CREDENTIAL_FILE_BYTES: u64 = 256 << 10;
/// Life of a certificate, and of a cluster's own.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * 24 * 3600);
/// A new certificate is valid from so long ago, for nodes whose clocks are behind.
pub const CLOCK_SKEW: Duration = Duration::from_secs(3600);
/// Bytes of first packets that a node holds for connections it has not looked at yet.
pub const INCOMING_BYTES: u64 = 16 << 20;
/// Custom section `corovan.manifest` of a module. Room for hundreds of documented functions.
pub const MANIFEST_BYTES: usize = 64 << 10;
/// Functions and rights it names; each is compared with all others.
pub const MANIFEST_FUNCTIONS: usize = 1_000;
pub const MANIFEST_WANTS: usize = 256;
/// Modules a node stores, however small: each costs an entry of the index in memory, and files.
pub const STORE_MODULES: usize = 100_000;
/// Modules held in memory, ready to make instances, and bytes of their code. What runs stays without being counted.
pub const LOADED_MODULES: usize = 256;
pub const LOADED_BYTES: u64 = 1 << 30;
/// Tables of a module; the pool reserves room for so many in each slot.
pub const MODULE_TABLES: u32 = 1;
/// Bytes of names listed in one refusal of a module, so that its text fits where texts go (`TEXT_BYTES`).
pub const LISTED_BYTES: usize = 3 << 10;
/// Of one name in a refusal, so that a long one does not hide the others.
pub const LISTED_NAME: usize = 80;

/// First record of a connection between nodes. Eighteen numbers and some more.
pub const HELLO_BYTES: usize = 4 << 10;
/// Highest session number that a peer may speak of. Nobody gets there by counting; there is room for one more.
pub const SESSION_NUMBER: u64 = 1 << 62;
/// Streams that a node may open towards another: hellos and acknowledgements; a lane each, and some for transfers and for lanes
/// of the connection before, which may still be closing.
pub const PEER_BIDI_STREAMS: u32 = 1;
pub const PEER_UNI_STREAMS: u32 = 48;
/// Bytes of datagrams that wait in one connection for being sent, or read: some fifty.
pub const DATAGRAM_BUFFER: usize = 64 << 10;
/// Connections with other nodes at a time. In a larger mesh those that nobody needs are closed for others.
pub const MESH_LINKS: usize = 256;
/// Datagrams of one node on average and at once: some ten a second come from each, a hundred while views are compared. Others'
/// are not to be lost for them.
pub const PEER_DATAGRAM_INTERVAL: Duration = Duration::from_millis(2);
pub const PEER_DATAGRAM_BURST: u64 = 512;
/// Lines that a tenant's coroutines made for other nodes write into this node's log, on average and at once.
pub const GUEST_LINE_INTERVAL: Duration = Duration::from_millis(20);
pub const GUEST_LINE_BURST: u64 = 1_000;
/// Connections that one node has made and not said its first word on: two of them where connections are made again and again.
pub const MESH_GREETINGS: usize = 8;
/// A connection between nodes that nobody has used for so long is closed.
pub const LINK_IDLE: Duration = Duration::from_secs(60);
/// Bytes of frames of one lane that are not acknowledged: as much as a link of a gigabit takes in 16 ms, and a session of 18 lanes
/// can hold 36 MiB of them. What answers or ends something has more room, lest it waits behind what begins something.
pub const LANE_BYTES: usize = 2 << 20;
pub const LANE_ANSWER_BYTES: usize = 2 << 20;
/// A lane hands over about so many bytes at a time, so that what is acknowledged makes room in small steps.
pub const LANE_CHUNK: usize = 64 << 10;
/// Bytes of buffer that a lane takes at first; a busy one takes up to [`LANE_CHUNK`].
pub const LANE_BUFFER: usize = 4 << 10;
/// Frames, and bytes of them, of a lane that are acknowledged at the latest, while more keep coming.
pub const ACK_FRAMES: u64 = 256;
pub const ACK_BYTES: usize = 128 << 10;
/// What a node may send to a mailbox of another before that has granted anything, and to all together: bytes, with
/// [`LETTER_BYTES`] for each message.
pub const FIRST_CONTACT_MESSAGES: u64 = 16;
pub const FIRST_CONTACT_BYTES: u64 = 64 << 10;
pub const FIRST_CONTACT_ALLOWANCE: u64 = 4 << 20;
/// While messages of one node that wait for room in mailboxes of another take more than this, its first contacts are
/// answered only when they find room; so that, beyond, it holds no more than the allowance for mailboxes that are full.
pub const LINK_UNSETTLED: u64 = 16 << 20;
/// The most that a node is granted ahead for one mailbox: what a fast link carries in a few milliseconds.
pub const CREDIT_WINDOW_MESSAGES: u64 = 4_096;
pub const CREDIT_WINDOW_BYTES: u64 = 4 << 20;
/// Mailboxes of one node for which another holds credit at a time. Others wait for a place; what is unused is returned.
pub const LINK_CREDITS: usize = 4_096;
/// Credit unused for so long is returned.
pub const CREDIT_IDLE: Duration = Duration::from_secs(1);
/// Coroutines of a node that wait for credit of one other node. Each tenant's are bounded as well.
pub const LINK_SENDERS: usize = 100_000;
/// Calls of a node that wait for an answer of one other node, and monitors there, each way.
pub const LINK_CALLS: usize = 100_000;
pub const LINK_MONITORS: usize = 100_000;

/// A grant's payload: a thousand modules and many nodes; with signature and certificate it fits a frame's record.
pub const GRANT_BYTES: usize = 48 << 10;
/// A grant counts for so long: a computation that lives longer is opened again.
pub const GRANT_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Grants whose signatures a node has checked, and remembers.
pub const GRANTS_KNOWN: usize = 4_096;
/// Grants with a false signature or certificate that a node may show, on average and at once; each costs two signatures' checks.
/// Beyond, nothing that it shows is looked at for a while. An honest node has checked what it shows.
pub const FALSE_GRANT_INTERVAL: Duration = Duration::from_millis(100);
pub const FALSE_GRANT_BURST: u64 = 64;
/// Computations of other nodes that have no coroutine here any more, of which exit records are kept.
pub const GUESTS_IDLE: usize = 1_024;
/// Modules that are read for other nodes at a time, each whole into memory, and pieces of modules that one node may ask for.
pub const MODULE_READS: usize = 2;
pub const MODULE_READS_ASKED: usize = 1_024;
/// Nodes beside the one that asks that are asked for a module: who has it is one of a few, or nobody near.
pub const MODULE_SOURCES: usize = 16;
/// How long each of those may take.
pub const MODULE_SOURCE: Duration = Duration::from_secs(10);
/// Swaps that one node may wait for: each may wait for an hour, and keeps a task.
pub const SWAPS_ASKED: usize = 1_024;
/// How long a module is waited for that another asker gives just now; and how long fetching one may take in all: 32 MiB at five
/// megabits a second.
pub const MODULE_TURN: Duration = Duration::from_secs(2);
pub const MODULE_FETCH: Duration = Duration::from_secs(60);
/// What another node has beyond a job's deadline, or the grace that it was given, to tell how it ended. Then it counts as lost.
pub const END_AWAY: Duration = Duration::from_secs(5);
/// Arguments up to this go with the question for a job at another node; larger ones are fetched from there, in parts as a module.
pub const SPAWN_ARGUMENTS: usize = 256 << 10;
/// How long a spawn on another node waits, unless it says otherwise: its module may have to be fetched and compiled there.
pub const SPAWN_AWAY: Duration = Duration::from_secs(10);
/// Computations' grants that are shown in one session at a time; beyond, the oldest are shown again when they are used again.
pub const LINK_GRANTS: usize = 4_096;

/// What waits for the thread of membership and names: datagrams beyond are dropped, calls refused.
pub const MESH_COMMANDS: usize = 8_192;
/// Nodes that one knows of, living and gone. Each costs about a kilobyte; the simulation has shown a thousand.
pub const MESH_NODES: usize = 4_096;
/// Of these, how many the view remembers after they went, the latest of them.
pub const MESH_GONE: usize = 1_024;
/// How long a life that was declared failed is kept as such, so that old talk of it brings it back nowhere, and so that it
/// is asked again after a split.
pub const MESH_FORGET: Duration = Duration::from_secs(3600);
/// A datagram of membership: below what QUIC may send in one on any path (1,200 less its own heads).
pub const MESH_DATAGRAM: usize = 1_100;
/// Datagrams that wait for being sent; more are dropped and counted, as the network would.
pub const MESH_OUTPUT: usize = 4_096;
/// What a node says of itself (name, labels and so on), encoded; goes into one datagram with its heads.
pub const MEMBER_BYTES: usize = 600;
pub const MEMBER_ADDRESSES: usize = 4;
pub const MEMBER_LABELS: usize = 16;
/// A label's key, and its value; also a member's version.
pub const LABEL_BYTES: usize = 63;
/// Members that pass datagrams on to a node that accepts no connections: two may go at once and it is still reached.
pub const GATEWAYS: usize = 3;
/// It asks each of them so often, and one that has not answered as often as this, so that one in ten lost makes nobody look for
/// another. One that is silent for as long as ends a session is given up; a gateway forgets a node that has not asked for as long.
pub const GATEWAY_PERIOD: Duration = Duration::from_secs(1);
pub const GATEWAY_RETRY: Duration = Duration::from_millis(250);
pub const GATEWAY_SILENCE: Duration = SILENCE;
/// Nodes that one is a gateway of: each takes a connection for good, and others need some of [`MESH_LINKS`], too.
pub const GATEWAY_CLIENTS: usize = 128;
/// Datagrams that a gateway passes on for one node on average and at once: some twenty a second where news are told and all go
/// through one, a hundred in a comparison of views. A flood of one is not to cost others their way.
pub const PASS_INTERVAL: Duration = Duration::from_millis(20);
pub const PASS_BURST: u64 = 128;
/// The same of all to one node: half of what that takes of its gateway ([`PEER_DATAGRAM_INTERVAL`]), whose own get through.
pub const PASS_TO_INTERVAL: Duration = Duration::from_millis(4);
pub const PASS_TO_BURST: u64 = 256;
/// Who wants to be dialled by a node that accepts no connections asks so often while it waits: ten times in a session's silence,
/// so that one in ten lost on each of two ways is no matter.
pub const CALL_BACK_RETRY: Duration = Duration::from_millis(250);
/// How often such a node lets itself be asked: by one member on average and at once, which is more than it does; and by all.
pub const CALL_BACK_INTERVAL: Duration = Duration::from_millis(100);
pub const CALL_BACK_BURST: u64 = 8;
pub const CALL_BACK_ALL_INTERVAL: Duration = Duration::from_millis(10);
pub const CALL_BACK_ALL_BURST: u64 = 256;
/// A connection that has been heard on for so little time is not given up for another where its other end asks to be dialled:
/// the question was overtaken by the answer.
pub const CALL_BACK_FRESH: Duration = Duration::from_secs(1);
/// How long a node that goes waits for its last datagrams to be on their way, then for its last frames to be acknowledged, then
/// for its good-bye: a few go to each peer, and a path takes them at once unless it is jammed.
pub const FAREWELL: Duration = Duration::from_millis(250);
/// Addresses that are asked for a way into the mesh.
pub const MESH_SEEDS: usize = 64;
/// Of these, how many may come from discovery: anyone on the network can say anything there, and must not push out what an
/// operator gave.
pub const DISCOVERED_SEEDS: usize = 16;
/// Host names that are looked up again and again for a way into the mesh.
pub const SEED_NAMES: usize = 16;
/// One member is probed each period; who does not answer directly in the time of a round trip is asked through three others.
pub const PROBE_PERIOD: Duration = Duration::from_secs(1);
pub const PROBE_ROUND_TRIP: Duration = Duration::from_millis(350);
pub const PROBE_HELPERS: usize = 3;
/// Between suspicion and failure: time for the suspect to hear of it and to be heard, in a thousand nodes at 10 % loss.
pub const SUSPICION: Duration = Duration::from_secs(4);
/// Who suspects a member asks it and one other, at once and so often until it knows better: nine times, of which all must be
/// lost before a member that lives is given up for it.
pub const DOUBT_PERIOD: Duration = Duration::from_millis(500);
/// News go out so often, to so many, as long as there are any; each is told by one node so many times.
pub const GOSSIP_PERIOD: Duration = Duration::from_millis(200);
pub const GOSSIP_FANOUT: usize = 3;
pub const GOSSIP_TIMES: u8 = 12;
/// Members that failed are asked whether they are back, so many each time.
pub const REVIVE_PERIOD: Duration = Duration::from_secs(5);
pub const REVIVE_FANOUT: usize = 2;
/// Views are compared with one other member: so often, while what some member says of itself is not known, and when the last
/// comparison brought news.
pub const SYNC_PERIOD: Duration = Duration::from_secs(5);
pub const SYNC_LACKING: Duration = Duration::from_secs(1);
pub const SYNC_HURRY: Duration = Duration::from_millis(100);
/// Datagrams that answer one comparison; what does not fit is asked for in the next.
pub const SYNC_PAGES: usize = 8;
/// Seeds are asked so often while alone, and one of them so often otherwise, which also mends long splits.
pub const SEED_ALONE: Duration = Duration::from_secs(1);
pub const SEED_PERIOD: Duration = Duration::from_secs(10);
/// Timers that are handled later than this show that this node did not run: it blames nobody for that time, and first
/// reads what came meanwhile.
pub const LATE: Duration = Duration::from_millis(250);

/// A name's lease at its home when nothing is heard of it any more, and how often it is renewed: five renewals in a row must
/// be lost before a name is.
pub const NAME_LEASE: Duration = Duration::from_secs(15);
pub const NAME_RENEW: Duration = Duration::from_secs(3);
/// A home that may not know of a name yet, since it was another's until just now, gives it to nobody new for so long: time
/// for holders to see the same change and to announce what they have. A little more than news take through 1,000 nodes.
pub const NAME_SETTLE: Duration = Duration::from_secs(2);
/// What was asked of a home is asked again after so long without an answer, and so soon where it said that it is not the home.
pub const NAME_RETRY: Duration = Duration::from_millis(500);
pub const NAME_ELSEWHERE: Duration = Duration::from_millis(100);
/// The longest that a `locate` without waiting takes to ask a name's home.
pub const NAME_CALL: Duration = Duration::from_secs(3);
/// Names in one announcement: with the longest of them it still fits a frame's record.
pub const NAME_BATCH: usize = 64;
/// Grants of one tenant's computations under which its names are spoken of to other nodes: one is enough where it counts at
/// all of them.
pub const NAME_GRANTS: usize = 8;
/// Requests that a home holds back while it settles.
pub const NAMES_DEFERRED: usize = 10_000;
/// Registrations that a node gives back at a time because a home says that it has them and nobody wants them.
pub const NAMES_RETURNED: usize = 1_024;
/// How far ahead of one's own another's clock is believed, in milliseconds, when registrations are numbered.
pub const NAME_CLOCK_AHEAD: u64 = 60_000;

/// The one question and the one answer of a joining connection: a chain of a few certificates has some kilobytes.
pub const JOIN_BYTES: usize = 16 << 10;
/// What somebody who has proved nothing yet may have sent to us unread, on one connection.
pub const STRANGER_WINDOW: u32 = 64 << 10;
/// Joining connections at a time: of strangers, and of nodes and operators, whom strangers must not keep out.
pub const JOIN_STRANGERS: usize = 16;
pub const JOIN_KNOWN: usize = 16;
/// Such connections each second on average, and at once; each costs a signature or two, and a line in the log.
pub const JOIN_INTERVAL: Duration = Duration::from_millis(50);
pub const JOIN_BURST: u64 = 40;
/// From question to answer, with a disk that is slow to sync.
pub const JOIN_TIME: Duration = Duration::from_secs(10);
/// A node that is told that too many join at once asks again after so long, so often.
pub const JOIN_RETRY: Duration = Duration::from_secs(1);
pub const JOIN_RETRIES: u32 = 30;
/// Tokens that an issuing node remembers, and how long after their expiry, so that its log can say why one is refused.
pub const TOKENS: usize = 1_000;
pub const TOKEN_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Life of a token, at most: it is a password.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Names that an issuing node remembers having certified, each until its certificate expires.
pub const CERTIFIED_NAMES: usize = 2 * MESH_NODES;
/// Life of an issuing node's own CA. It is made anew by hand, with the cluster's key.
pub const ISSUER_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
/// An issuing CA that ends sooner than this is warned about; one that ends within the second issues no more: what it signs
/// could not be renewed in time.
pub const ISSUER_WARNING: Duration = Duration::from_secs(30 * 24 * 3600);
pub const ISSUER_MARGIN: Duration = Duration::from_secs(3600);
/// A certificate is renewed when this part of its life is over, and what is due is looked for so often.
pub const RENEW_AFTER: u32 = 3;
pub const RENEW_LOOK: Duration = Duration::from_secs(600);
/// A certificate or CA that ends and is not renewed is warned about so often.
pub const RENEW_WARN: Duration = Duration::from_secs(6 * 3600);
