/* common/base/limits.h - how much of anything, and why just that much
 *
 * Every maximum of the project stands here with its reason; a limit that is an agreement of the
 * AWS API stands in the API catalogue instead. Add yours to the section of its folder.
 */
#ifndef PEN_COMMON_BASE_LIMITS_H
#define PEN_COMMON_BASE_LIMITS_H

enum {
    /* ---- common */

    /* A configuration file: a flat list of some dozens of keys fits a hundred times over. */
    PEN_LIMIT_CONFIG_BYTES = 256 * 1024,

    /* One line of the log: a terminal's worth of text; anything longer is data, not a log line. */
    PEN_LIMIT_LOG_LINE_BYTES = 4096,

    /* A key file is a few lines of hexadecimal digits. */
    PEN_LIMIT_KEY_FILE_BYTES = 4096,

    /* ---- the HTTP door and its clients */

    /* Body of an API request. The largest is a pipeline: the API allows 500 actions of some
     * kilobytes of configuration, and real ones stay below 200 KB. */
    PEN_LIMIT_HTTP_BODY_BYTES = 1024 * 1024,

    /* Body of a git server's call: GitHub sends up to 25 MB, and 2,048 commits are 1.2 MB. Values
     * in it (2,048 commits have some 100,000): each is some 100 bytes of memory while it is read.
     */
    PEN_LIMIT_HOOK_BODY_BYTES = 25 * 1024 * 1024,
    PEN_LIMIT_HOOK_VALUES = 1000 * 1000,

    /* Body of an API answer that a client takes: a page of history, or 4 MiB of log in base64. */
    PEN_LIMIT_HTTP_ANSWER_BYTES = 8 * 1024 * 1024,

    /* How long a request may wait for news (logs, facts). Below the 30 s after which proxies and
     * clients commonly give up. */
    PEN_LIMIT_LONG_POLL_MS = 20 * 1000,

    /* Bytes of log in one answer, before base64. */
    PEN_LIMIT_LOG_PAGE_BYTES = 1024 * 1024,

    /* ---- agents' connections (controller/dispatch, controller/data) */

    /* The largest control message is a Hello with an inventory of some hundred attempts. */
    PEN_LIMIT_CONTROL_MESSAGE_BYTES = 256 * 1024,

    /* A piece of log or of a blob is 256 KiB; a question for 2,000 blobs 70 KiB. */
    PEN_LIMIT_DATA_MESSAGE_BYTES = 1024 * 1024,

    /* Messages to one peer that wait to be sent. On the control plane what is not sent is sent
     * again by reconciliation; on the data plane it waits in the thread. */
    PEN_LIMIT_CONTROL_SEND_QUEUE = 256,
    PEN_LIMIT_DATA_SEND_QUEUE = 16,

    /* Bytes of one connection that the kernel has received and the thread has not read: all that an
     * agent may have under way, and the message that is coming in. More is a flood, or a message
     * without end. */
    PEN_LIMIT_CONTROL_UNDELIVERED_BYTES = 8 * 1024 * 1024,
    PEN_LIMIT_DATA_UNDELIVERED_BYTES = 32 * 1024 * 1024,

    /* Connections of one agent to one plane: its own, and those that have not yet timed out. */
    PEN_LIMIT_LINKS_PER_IDENTITY = 4,

    /* A peer that has sent so many messages that are none is broken or hostile. */
    PEN_LIMIT_MALFORMED_IN_A_ROW = 8,

    /* Unacknowledged bytes of log for each attempt: 4 pieces under way keep a link of 100 ms busy
     * at 10 MB/s. */
    PEN_LIMIT_LOG_CREDIT_BYTES = 1024 * 1024,

    /* The same for all attempts of one agent together. */
    PEN_LIMIT_LOG_LINK_BYTES = 8 * 1024 * 1024,

    /* Blobs of one agent on their way to the controller. */
    PEN_LIMIT_BLOB_CREDIT = 8,

    /* Bytes of a piece of log or of a blob. */
    PEN_LIMIT_PIECE_BYTES = 256 * 1024,

    /* Blobs that one question may name. */
    PEN_LIMIT_BLOB_QUERY = 2000,

    /* Blobs that an agent has asked for and that are not yet sent; an agent asks for 8 at a time.
     */
    PEN_LIMIT_BLOB_GETS_WAITING = 64,

    /* Answers that wait for one slow peer; more, and it does not read them at all. */
    PEN_LIMIT_ANSWERS_WAITING_BYTES = 1024 * 1024,

    /* Blobs that have come in part, of all attempts together. */
    PEN_LIMIT_ASSEMBLING_BYTES = 128 * 1024 * 1024,

    /* Log of an attempt whose action says nothing else; and what the agent may add to say that it
     * was cut. */
    PEN_LIMIT_LOG_BYTES_DEFAULT = 1024 * 1024 * 1024,
    PEN_LIMIT_LOG_CUT_NOTICE_BYTES = 4096,

    /* A log up to this size is hashed when its end is shown: 50 ms of the thread that answers all
     * API calls. Of a longer one only the size is compared. */
    PEN_LIMIT_LOG_VERIFY_BYTES = 64 * 1024 * 1024,

    /* Of that, the end of a log that is over its limit: some ten thousand lines, in the memory of
     * each shim whose commands say so much. */
    PEN_LIMIT_LOG_END_BYTES = 1024 * 1024,

    /* Log files that are kept open. */
    PEN_LIMIT_LOG_FILES_OPEN = 256,

    /* ---- the structure of a pipeline: the API's quotas. Sizes are in characters where nothing
     * else is said. The configuration may say other numbers of stages and actions. */

    PEN_STAGES_MIN = 2,
    PEN_STAGES_MAX = 50,
    PEN_ACTIONS_PER_STAGE_MAX = 100, /* the documents say 50 and 100; the wider one */
    PEN_ACTIONS_PER_PIPELINE_MAX = 1000,
    PEN_NAME_MAX = 100, /* of pipelines, stages, actions and artifacts */
    PEN_RUN_ORDER_MAX = 999,
    PEN_VARIABLES_MAX = 50,
    PEN_VARIABLE_NAMESPACE_MAX = 100,
    PEN_VARIABLE_KEY_MAX = 128,
    PEN_TRIGGERS_MAX = 50,
    PEN_TRIGGERS_BYTES_MAX = 200 * 1024, /* all triggers of a pipeline */
    PEN_TRIGGER_FILTERS_MAX = 3,
    PEN_TRIGGER_PATTERNS_MAX = 8,
    PEN_TRIGGER_GLOB_SIZE_MAX = 255,     /* bytes of a pattern */
    PEN_TRIGGER_CHANGED_FILES_MAX = 100, /* of a push or pull request that filters look at */
    PEN_CONFIGURATION_KEY_MAX = 50,
    PEN_CONFIGURATION_VALUE_MAX = 1000,
    PEN_RULES_PER_CONDITION_MAX = 5,
    PEN_APPROVAL_TIMEOUT_MIN_MINUTES = 5,
    PEN_APPROVAL_TIMEOUT_MAX_MINUTES = 86400,
    PEN_RULE_TIMEOUT_MINUTES_MIN = 5,
    PEN_RULE_TIMEOUT_MINUTES_MAX = 86400,
    PEN_RULE_COMMANDS_MAX = 50,
    PEN_RULE_COMMANDS_MINUTES_MAX = 55, /* that the commands of a rule run, once they have begun */
    PEN_ACTION_TYPE_PROPERTIES_MAX = 10,
    PEN_ACTION_TYPE_ARTIFACTS_MAX = 5, /* each way */
    PEN_QUERYABLE_VALUE_MAX = 20,      /* of a value that workers poll by */

    /* The most that the configuration may say: 5,000 small actions fill the body of a request, and
     * what an execution has of them is listed in one answer. */
    PEN_STAGES_CONFIGURED_MAX = 500,
    PEN_ACTIONS_PER_STAGE_CONFIGURED_MAX = 1000,
    PEN_ACTIONS_PER_PIPELINE_CONFIGURED_MAX = 5000,

    /* ---- what stands inside a pipeline (controller/model) */

    /* Resolved configuration of one action, in bytes: the API's quota. */
    PEN_VARIABLES_EXPANDED_MAX = 100 * 1024,

    /* A rule without a time-out waits as long as an approval: a week's window. */
    PEN_RULE_TIMEOUT_MINUTES_DEFAULT = 7 * 24 * 60,

    /* Characters of a label's key or value, as in DNS: fits any label scheme. Terms of RunsOn: the
     * parsed form stays small enough to live on the stack. */
    PEN_LABEL_SIZE_MAX = 63,
    PEN_LABEL_TERMS_MAX = 16,

    /* A regular expression: bytes (the API's limit of most values); instructions that it becomes
     * (some 50 million steps at the very worst, 0.1 s); {m,n} and groups within groups (more is a
     * mistake or an attack); bytes of the text (the API's longest configuration value). */
    PEN_REGEX_TEXT_MAX = 1000,
    PEN_REGEX_PROGRAM_MAX = 1000,
    PEN_REGEX_REPEAT_MAX = 255,
    PEN_REGEX_DEPTH_MAX = 32,
    PEN_REGEX_SUBJECT_MAX = 10000,

    /* A cron expression, in bytes: the longest sensible list is shorter. Its years are Quartz's
     * first and the last before a search for the next opening would take long. */
    PEN_CRON_TEXT_MAX = 512,
    PEN_CRON_YEAR_MIN = 1970,
    PEN_CRON_YEAR_MAX = 2199,

    /* A time zone: bytes of its name (the longest of the database has 32) and file (the largest has
     * 4 KB); changes in the file (the most that exist are 240). */
    PEN_ZONE_NAME_MAX = 64,
    PEN_ZONE_FILE_BYTES_MAX = 64 * 1024,
    PEN_ZONE_FILE_CHANGES_MAX = 2000,

    /* Of a pull request, in bytes: title (a variable's value), branch (a trigger's pattern, and a
     * file name on most servers), address of the repository. */
    PEN_PULL_REQUEST_TITLE_MAX = 1000,
    PEN_PULL_REQUEST_BRANCH_MAX = 255,
    PEN_PULL_REQUEST_REPOSITORY_MAX = 1024,

    /* ---- the engine */

    /* Pipelines: the API's quota for a region. The configuration may say another number. */
    PEN_LIMIT_PIPELINES = 1000,

    /* Executions of one QUEUED or PARALLEL pipeline, running and waiting: the API's quota. The
     * configuration may say another number. */
    PEN_LIMIT_PIPELINE_EXECUTIONS = 50,

    /* Actions that run at once in one PARALLEL execution: the API's quota. The configuration may
     * say another number. */
    PEN_LIMIT_PARALLEL_ACTIONS = 5,

    /* PARALLEL executions of one pipeline that have failed or were stopped and can still be
     * retried: nothing takes their place, so that they would be kept in memory for ever. Retries
     * come soon after the failure or never. */
    PEN_LIMIT_PARALLEL_RETRYABLE = 20,

    /* The most that the configuration may say of the three quotas above, and of webhooks, custom
     * action types and polling pipelines: lists of executions and their actions are walked, and
     * rows of all the others are loaded at each start. */
    PEN_LIMIT_PIPELINES_CONFIGURED = 100 * 1000,
    PEN_LIMIT_PIPELINE_EXECUTIONS_CONFIGURED = 10 * 1000,
    PEN_LIMIT_PARALLEL_ACTIONS_CONFIGURED = 1000,
    PEN_LIMIT_WEBHOOKS_CONFIGURED = 100 * 1000,
    PEN_LIMIT_ACTION_TYPES_CONFIGURED = 1000,
    PEN_LIMIT_POLLING_PIPELINES_CONFIGURED = 100 * 1000,

    /* What waits at a transition that was disabled for longer than this does not go on by itself
     * when it is enabled: the API's rule. */
    PEN_LIMIT_TRANSITION_REST_DAYS = 30,

    /* Actions of a stage whose durations are remembered: the API's limit of actions in a stage, and
     * some that were renamed. */
    PEN_LIMIT_STAGE_HISTORIES = 64,

    /* What was seen of the refs of one source action is kept in so many rows: a push to a
     * repository with 500 refs writes a row of 8. Never to be changed: it says where to look. */
    PEN_LIMIT_SEEN_PARTS = 64,

    /* Pull requests in one such row, of which those with the lowest numbers are forgotten: they
     * come without end, and those of 12,800 later ones are closed. */
    PEN_LIMIT_SEEN_PULL_REQUESTS = 200,

    /* Refs in one input or fact of a first look: some 50 KB. */
    PEN_LIMIT_REFS_TOLD = 500,

    /* Webhooks of an account: the API's quota. The configuration may say another number. */
    PEN_LIMIT_WEBHOOKS = 300,

    /* What tells a delivery of a webhook from all others: a digest this long, and how many of them
     * are remembered against repeats. A server repeats within hours; two for each delivery. */
    PEN_LIMIT_DELIVERY_DIGEST_BYTES = 16,
    PEN_LIMIT_DELIVERIES_REMEMBERED = 128,

    /* Branches that are named when a source's own is not there: enough to see what was meant. */
    PEN_LIMIT_BRANCHES_TOLD = 20,

    /* Pull requests of one pipeline that are noticed and not yet looked at: each is one fetch. */
    PEN_LIMIT_PULL_REQUESTS_NOTICED = 100,

    /* Pipelines that poll for changes: the API's quota. The configuration may say another number.
     */
    PEN_LIMIT_POLLING_PIPELINES = 300,

    /* Moves that may follow from one input. Cancelling every execution of a pipeline at its limits
     * takes some thousands; more is a rule that never comes to rest. */
    PEN_LIMIT_FOLLOW_UPS = 1000 * 1000,

    /* How long a finished attempt may take to hand in its log and artifacts before it counts as
     * failed, from when the controller learns of it or starts: some gigabytes pass in that time. */
    PEN_LIMIT_DRAIN_MS = 10 * 60 * 1000,

    /* How long an agent may take, beyond the time-out of an action, to end it by itself and to say
     * so: TERM, the grace, KILL and the way. Then the controller tells it to. */
    PEN_LIMIT_TIMEOUT_SLACK_MS = 20 * 1000,

    /* How long an attempt may take to begin beyond its action's time-out: some gigabytes of inputs
     * are fetched in that time, and the time-out does not count it. */
    PEN_LIMIT_SETUP_MS = 10 * 60 * 1000,

    /* An agent that declined an offer is not asked again at once. */
    PEN_LIMIT_DECLINE_PAUSE_MS = 1000,

    /* Reasons in one answer of GetHealth: more are no more telling. */
    PEN_LIMIT_HEALTH_REASONS = 50,

    /* What is kept in memory of its reason to decline: a sentence. */
    PEN_LIMIT_REFUSAL_BYTES = 200,

    /* Between TERM and KILL when an attempt is cancelled. */
    PEN_LIMIT_CANCEL_GRACE_MS = 10 * 1000,

    /* Two live processes with one key show up as run ids that take turns: so often in so long. */
    PEN_LIMIT_CLASH_COUNT = 3,
    PEN_LIMIT_CLASH_MS = 60 * 1000,

    /* Attempts that one agent runs at once; the protocol's inventory of more would not fit a frame.
     */
    PEN_LIMIT_AGENT_SLOTS = 1024,

    /* Work of agents in one answer of ListAgents, of some 500 bytes each beside the agents. */
    PEN_LIMIT_WORK_LISTED = 8000,

    /* A token that enrols an agent lives for at most a month. */
    PEN_LIMIT_TOKEN_TTL_HOURS = 31 * 24,

    /* Custom action types that are not deleted: the API's quota. The configuration may say another
     * number. */
    PEN_LIMIT_ACTION_TYPES = 50,

    /* Custom action types with those that are deleted, whose definitions are kept for ever: twenty
     * versions of each. */
    PEN_LIMIT_ACTION_TYPES_KEPT = 1000,

    /* Jobs in one answer to a poll. Each may carry 100 KB of configuration, and the answer has to
     * stay below PEN_LIMIT_HTTP_ANSWER_BYTES; a worker that can do more polls again. */
    PEN_LIMIT_JOBS_PER_POLL = 20,

    /* Executions of one pipeline that stay in history at any age; and how many may be asked for,
     * which a collection has to read. */
    PEN_LIMIT_HISTORY_COUNT = 50,
    PEN_LIMIT_HISTORY_COUNT_CONFIGURED = 1000000,

    /* Successes of a stage that history keeps as ways back: the latest, the one before it, and one
     * for the case that this is the bad one. */
    PEN_LIMIT_WAYS_BACK = 3,

    /* Executions that are removed by one fact. Their ids are in a live row until all is purged. */
    PEN_LIMIT_REMOVAL_BATCH = 64,

    /* Executions that one collection offers, about 4 MiB of them: the next one goes on. */
    PEN_LIMIT_COLLECTION_EXECUTIONS = 20000,

    /* Pipelines of which a collection's report tells one by one; it is a fact, and a row. */
    PEN_LIMIT_COLLECTION_LINES = 1000,

    /* Rows, and facts, that one commit deletes: each has up to four index entries, and the core has
     * other work after a few milliseconds. */
    PEN_LIMIT_PURGE_ROWS = 200,

    /* The longest path inside an artifact. Deeper trees than PATH_MAX exist (nested dependencies,
     * tests of tools); a path of every folder is held while it is packed, so there is an end. */
    PEN_LIMIT_ARTIFACT_PATH_BYTES = 64 * 1024,

    /* Output variables of one action, names and values together: the API's quota. */
    PEN_LIMIT_OUTPUT_VARIABLES_BYTES = 122880,
};

/* History of each pipeline that stays: what is younger, and the newest at any age. */
#define PEN_LIMIT_HISTORY_AGE_MS (INT64_C(396) * 24 * 3600 * 1000) /* 13 months */

/* A revoked agent is listed for so long: somebody may look for what became of it. */
#define PEN_LIMIT_REVOKED_AGENT_MS (INT64_C(7) * 24 * 3600 * 1000)

/* A blob that nothing names is kept for so long after it was written or asked for: an artifact that
 * is about to be told of is renewed, and told within seconds. Only much older times are renewed, so
 * that a hot blob's inode is not written each time. */
#define PEN_LIMIT_BLOB_GRACE_MS (INT64_C(3600) * 1000)
#define PEN_LIMIT_BLOB_RENEW_MS (INT64_C(600) * 1000)

/* Polling stops after so long without an execution: the API's 30 days. When the last one started is
 * noted at most once in the other time, so that an execution does not write its pipeline's row. */
#define PEN_LIMIT_POLLING_IDLE_MS (INT64_C(30) * 24 * 3600 * 1000)
#define PEN_LIMIT_STARTED_NOTE_MS (INT64_C(24) * 3600 * 1000)

_Static_assert(PEN_LIMIT_LOG_LINK_BYTES + PEN_LIMIT_BLOB_CREDIT * PEN_LIMIT_PIECE_BYTES +
                       3 * PEN_LIMIT_DATA_MESSAGE_BYTES <=
                   PEN_LIMIT_DATA_UNDELIVERED_BYTES,
               "a peer that keeps the rules must not be cut");
_Static_assert(PEN_LIMIT_LOG_PAGE_BYTES / 3 * 4 + 65536 <= PEN_LIMIT_HTTP_ANSWER_BYTES,
               "a page of log has to fit into an answer");

#endif
