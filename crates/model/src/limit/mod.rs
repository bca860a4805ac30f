//! Every maximum, with its reason. A table or queue that is not named here does not exist.

use core::time::Duration;

/// Characters of a service name: with `.log.9` and `.toml` added it still is a file name (255 bytes).
pub const SERVICE_NAME_MAX: usize = 200;
/// Services of one host. Twice the largest load we test (2 000).
pub const SERVICES_MAX: usize = 4096;
/// Dependencies of one service.
pub const DEPENDENCIES_MAX: usize = 64;
/// Clients that wait for one service to settle; the next is refused with `TooManyWaiters`.
pub const WAITERS_MAX: usize = 64;
/// Bytes of a command line, arguments and zero bytes included (windows-semantics 3.1: 32 K).
pub const COMMAND_LINE_MAX: usize = 32 * 1024;
/// Bytes of an environment block.
pub const ENVIRONMENT_MAX: usize = 32 * 1024;
/// Bytes of one service file.
pub const SERVICE_FILE_MAX: u64 = 256 * 1024;
/// Characters of the text a service reports about itself (`STATUS=`); the rest is cut visibly.
pub const STATUS_TEXT_MAX: usize = 256;
/// Bytes of one notify datagram; a longer one is dropped and counted.
pub const NOTIFY_MAX: usize = 4096;
/// Notify datagrams read in one turn of the loop: a flooding service delays nobody longer than this.
pub const NOTIFY_BATCH_MAX: usize = 64;
/// Children that hold descriptors which came with notifications. One lives for as long as its message is handled, or as closing
/// takes; while all are in use, messages with descriptors and those behind them wait.
pub const NOTIFY_HOLDERS_MAX: usize = 64;

/// Bytes of one packet between daemon and init. Holds one launch plan with the two maxima above.
pub const PACKET_MAX: usize = 128 * 1024;
/// Bytes of one stored record.
pub const RECORD_MAX: usize = 16 * 1024;
/// Records one init keeps: one a service, one a server of a pipe and a few of the host's own.
pub const RECORDS_MAX: usize = SERVICES_MAX + PIPES_MAX + 64;
/// Descriptors one init keeps for its daemon: the socket of each name, of which so many may be reserved and so many others served,
/// one of each server of a pipe, and those of the session itself.
pub const KEPT_DESCRIPTORS_MAX: usize = 3 * PIPES_MAX + 256;
/// Descriptors that the daemon and an init have room for: those that are kept, and of each service its group, its output and what a
/// launch of it needs for a moment. Twice what there can be.
pub const OPEN_FILES: u64 = 2 * (KEPT_DESCRIPTORS_MAX + 8 * SERVICES_MAX) as u64;
/// Exits one init remembers until they are acknowledged; the oldest of *adopted orphans* go first, those of
/// launches never.
pub const EXITS_MAX: usize = 2 * SERVICES_MAX;

/// Bytes of one API message. The largest honest one, a list of all services, is an answer, not a call.
pub const API_CALL_MAX: usize = 64 * 1024;
/// Open API connections in all, and for one uid that is not an administrator.
pub const API_CLIENTS_MAX: usize = 512;
/// See [`API_CLIENTS_MAX`].
pub const API_CLIENTS_PER_UID_MAX: usize = 64;
/// A call that has begun must be whole within this.
pub const API_CALL_TIME_MAX: Duration = Duration::from_secs(10);
/// A connection without a call, without an answer due and without a subscription is closed after this.
pub const API_IDLE_MAX: Duration = Duration::from_secs(300);
/// A client that does not read its answer is cut off after this.
pub const API_WRITE_TIME_MAX: Duration = Duration::from_secs(10);
/// Events kept for a subscriber that reads slowly; one that falls further behind is cut off.
pub const EVENTS_BEHIND_MAX: usize = 1024;
/// Held connections to tripwires; further ones are closed at once (they were still recorded).
pub const TRIPWIRES_HELD_MAX: usize = 64;

/// Characters of an account's name (LOGIN_NAME_MAX is 256; useradd allows 32, directories more).
pub const ACCOUNT_NAME_MAX: usize = 64;
/// Supplementary groups of one user: his session's record (16 KiB) and a packet of session0-logon hold them.
pub const GROUPS_MAX: usize = 1024;

/// Built-in accounts of one host.
pub const ACCOUNTS_MAX: usize = 10_000;
/// Sessions of users at one time.
pub const SESSIONS_MAX: usize = 1024;
/// Programs started in one user's session from outside (`s0 session run`), the shell not counted.
pub const PROGRAMS_MAX: usize = 64;
/// Conversations with session0-logon at one time: each checks passwords, which takes 19 MiB and 50 ms of a processor.
pub const LOGONS_MAX: usize = 32;
/// Of these, kept for the machine's root: many users together cannot keep its gettys waiting.
pub const LOGONS_FOR_ROOT: usize = 8;
/// Of these, for one uid that is not root.
pub const LOGONS_PER_UID_MAX: usize = 4;
/// Wrong passwords in one conversation.
pub const LOGON_TRIES_MAX: u32 = 3;
/// A conversation is over after this, whatever it waits for.
pub const LOGON_TIME_MAX: Duration = Duration::from_secs(120);
/// Accounts and callers whose wrong passwords are remembered.
pub const LOGON_DELAYS_MAX: usize = 4096;
/// After [`LOGON_TRIES_MAX`] wrong passwords each further try waits twice as long as the one before, from one second to this.
pub const LOGON_DELAY_MAX: Duration = Duration::from_secs(32);
/// Wrong passwords are forgotten after this long without another.
pub const LOGON_FORGET: Duration = Duration::from_secs(15 * 60);
/// Bytes of one packet of a conversation with a client.
pub const CONVERSATION_PACKET_MAX: usize = 16 * 1024;
/// Bytes of a password. Argon2 takes more; nobody types it.
pub const PASSWORD_MAX: usize = 1024;
/// Characters of a password that somebody gives himself (NIST SP 800-63B).
pub const PASSWORD_MIN: usize = 8;
/// Bytes of accounts.toml: the accounts there can be, with comments.
pub const ACCOUNTS_FILE_MAX: u64 = 8 << 20;
/// Files, directories and links of a skeleton that is copied into a new home.
pub const SKELETON_FILES_MAX: u32 = 4096;
/// Bytes of a skeleton's files.
pub const SKELETON_BYTES_MAX: u64 = 64 << 20;
/// Directories in directories of a skeleton: a mount that contains itself ends here.
pub const SKELETON_DEPTH_MAX: u32 = 32;
/// Time a session's programs have between the hang-up and the kill when it is logged off.
pub const LOGOFF_WAIT: Duration = Duration::from_secs(5);

/// Time for a program that is started in a user's session to come to exec; its client waits no longer.
pub const LAUNCH_WAIT: Duration = Duration::from_secs(30);

/// Characters of a pipe's name (windows-semantics 6.1).
pub const PIPE_NAME_MAX: usize = 256;
/// Characters of a pipe's name that has a socket in every session: with `/run/session0/pipe/` before it, it fits into an address (107).
pub const PIPE_SOCKET_NAME_MAX: usize = 88;
/// Pipes, reserved ones included, and servers of them, of one host.
pub const PIPES_MAX: usize = 16 * 1024;
/// Of these, kept for the machine's root and for names that are a service's: many users together cannot take them.
pub const PIPES_KEPT: usize = 4 * 1024;
/// Servers of pipes of one uid that is not root.
pub const PIPES_PER_UID_MAX: usize = 1024;
/// Instances of one pipe whose instances are unlimited.
pub const PIPE_INSTANCES_MAX: usize = 64 * 1024;
/// Instances of all servers of one uid that is not root: the host remembers each client until its server says that it is gone.
pub const PIPE_INSTANCES_PER_UID_MAX: u32 = 64 * 1024;
/// Instances of one server that listen at one time: so many clients are with it before it takes the first, and their descriptors fit
/// into its socket's buffer.
pub const PIPE_LISTENING_MAX: u32 = 32;
/// Clients that wait for one pipe; the next is refused.
pub const PIPE_WAITERS_MAX: usize = 256;
/// Of these, clients of one uid that is not root.
pub const PIPE_WAITERS_PER_UID_MAX: usize = 64;
/// Clients of one pipe that an answer about it names.
pub const PIPE_CLIENTS_SHOWN_MAX: usize = 1024;
/// Lists of pipes that are being made or written at one time: each may be some megabytes.
pub const PIPE_LISTS_MAX: usize = 16;
/// Of these, lists for one uid that is not root.
pub const PIPE_LISTS_PER_UID_MAX: usize = 4;
/// Clients that wait at the sockets of all pipes.
pub const PIPE_SOCKET_CLIENTS_MAX: usize = 4096;
/// Pipes one service's file declares.
pub const PIPES_PER_SERVICE_MAX: usize = 64;
/// Entries of one access list.
pub const PIPE_ACCESS_MAX: usize = 64;
/// Characters of one entry as it is written: the longest service name and every word around it fit.
pub const PIPE_ACCESS_TEXT_MAX: usize = 256;
/// nDefaultTimeOut when a server says nothing (windows-semantics 6.2).
pub const PIPE_DEFAULT_TIMEOUT: Duration = Duration::from_millis(50);
/// Time that a client of a pipe's socket waits for an instance: it cannot say how long it wants to, and cannot be told why not.
pub const PIPE_SOCKET_WAIT: Duration = Duration::from_secs(30);
/// Time that a client who says nothing of waiting gives a service which opening the pipe starts; a shorter start time of the service's
/// counts. Longer than most services take, shorter than clients think the host hangs.
pub const PIPE_START_WAIT: Duration = Duration::from_secs(20);
/// A server that does not say within this what instances it has, after a new daemon asked, is taken to have none that listens.
pub const PIPE_RECOUNT_WAIT: Duration = Duration::from_secs(10);
/// Names of pipes whose last alarm is remembered; of those there are more of, the oldest is forgotten.
pub const PIPE_ALARMS_MAX: usize = 256;
/// A name's alarm is not raised again within this.
pub const PIPE_ALARM_QUIET: Duration = Duration::from_secs(60);
/// Bytes a pipe's buffer may have.
pub const PIPE_BUFFER_MAX: u32 = 1 << 20;

/// Time for a `notify` service to report READY when its file says nothing: the 80 s of windows-semantics 3.3.
pub const START_WAIT: Duration = Duration::from_secs(80);
/// Time from the stop signal to the kill when the service's file says nothing (windows-semantics 3.5: about 20 s).
pub const STOP_WAIT: Duration = Duration::from_secs(20);
/// An ordered shutdown ends after this at the latest.
pub const SHUTDOWN_WAIT: Duration = Duration::from_secs(90);
/// Delay before a failed service is started again when its file says nothing.
pub const RESTART_DELAY: Duration = Duration::from_millis(100);
/// A service that ran at least this long before it failed begins its failure count anew.
pub const FAILURE_RESET: Duration = Duration::from_secs(10);
/// After this many failures in a row the delay doubles each time.
pub const FAILURES_BEFORE_SLOWING: u32 = 5;
/// The doubled delay stops growing here.
pub const RESTART_DELAY_MAX: Duration = Duration::from_secs(60);

/// Bytes of one line of service output; a longer one is cut into several.
pub const LOG_LINE_MAX: usize = 8 * 1024;
/// An unfinished line is written out after this.
pub const LOG_PARTIAL_WAIT: Duration = Duration::from_secs(1);
/// Bytes of one unit's output taken in one turn of the logger: a pipe as the kernel makes it, so that a flooding unit
/// has its turn and the others theirs.
pub const LOG_TURN_MAX: usize = 64 * 1024;
/// Bytes of one syslog datagram; the rest of a longer one is cut visibly.
pub const SYSLOG_MAX: usize = 8 * 1024;
/// Syslog datagrams taken in one turn of the logger.
pub const SYSLOG_BATCH_MAX: usize = 64;
/// Bytes the daemon holds back for an init that does not read: a few times everything it can be told at once. One
/// that is further behind is broken, and the daemon starts anew.
pub const INIT_QUEUE_MAX: usize = 32 * 1024 * 1024;
