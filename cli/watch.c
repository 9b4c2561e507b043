#include "cli/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/feed.h"
#include "cli/screen.h"
#include "cli/state.h"
#include "cli/tail.h"
#include "cli/text.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/base/units.h"
#include "common/io/clock.h"

enum {
    WAIT_S = PEN_LIMIT_LONG_POLL_MS / 1000,
    REDRAW_MS = 1000,
    QUIET_MS = 2000,     /* nothing happens for so long: say why */
    AWAY_MAX_MS = 60000, /* a controller may be gone for so long */
    AWAY_EVERY_MS = 500,
    LAST_LOGS_MS = 10000, /* for log lines that come after the execution's end */
    PART_AFTER_MS = 500,  /* a line without its end is shown when none has come for so long */
    ACTIONS_MAX = 500,    /* as many as a pipeline may have */
    FACTS_MANY = 100,     /* an answer with so many may have been cut */
};

struct watched {
    char *id; /* actionExecutionId */
    char *stage;
    char *name;
    char *status;
    char *note;
    char *agent;
    char *shown; /* the line that was printed last, without its time */
    int64_t percent;
    int64_t start_ms;
    int64_t end_ms;
    bool approval;
    bool shown_over;       /* its last line was printed */
    struct pen_feed *feed; /* NULL: no log, or not wanted */
    char *part;            /* of the log's last line, what was shown before its end */
    int64_t part_since_ms; /* 0: every line had an end */
};

struct watch {
    struct pen_cli *cli;
    const struct pen_watch_options *options;
    struct pen_screen screen;
    struct pen_tail tail; /* on an output that is no terminal */
    struct pen_call *facts;
    char *execution;
    char *status;
    char *reason;    /* why nothing runs, as said last */
    int64_t over_ms; /* when it ended, by the controller; 0: not yet, or not known */
    int64_t last_sequence;
    bool behind;           /* there may be more facts than one answer holds */
    int64_t away_since_ms; /* 0: the controller answers */
    int64_t quiet_since_ms;
    int64_t ended_ms; /* 0: the execution goes on */
    struct watched *actions;
    size_t count;
};

static void watch_release(struct watch *self)
{
    pen_call_destroy(&self->facts);
    pen_tail_release(&self->tail);
    free(self->execution);
    free(self->status);
    free(self->reason);
    for (size_t i = 0; i < self->count; i++) {
        struct watched *action = &self->actions[i];
        free(action->id);
        free(action->stage);
        free(action->name);
        free(action->status);
        free(action->note);
        free(action->agent);
        free(action->shown);
        free(action->part);
        pen_feed_destroy(&action->feed);
    }
    free(self->actions);
}

static bool is_terminal(const char *status)
{
    return status != NULL && strcmp(status, "InProgress") != 0 && strcmp(status, "Stopping") != 0;
}

static bool is_running(const struct watched *action)
{
    return strcmp(action->status, "InProgress") == 0;
}

/* ---- lines */

/* "12:34:56Z ", in UTC as everywhere; of another day than today with its date. */
static void put_clock(int64_t at_ms, struct pen_buf *line)
{
    char time[PEN_TIME_TEXT_SIZE];
    char today[PEN_TIME_TEXT_SIZE];
    pen_time_format(at_ms, time);
    pen_time_format(pen_clock_wall_ms(), today);
    size_t date = (size_t)(strchr(time, 'T') + 1 - time);
    bool same = strncmp(time, today, date) == 0;
    pen_buf_printf(line, "%.*sZ ", (int)(same ? 8 : date + 8), same ? time + date : time);
}

/* Print whole lines, below a line that was shown before its end. */
static void print(struct watch *self, const struct pen_buf *lines)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_tail_end(&self->tail, &text);
    pen_buf_append(&text, lines->data, lines->size);
    pen_screen_print(&self->screen, pen_buf_text(&text));
}

static void say_at(struct watch *self, int64_t at_ms, const char *text)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf line = {0};
    put_clock(at_ms, &line);
    pen_text_clean(text, &line);
    pen_buf_putc(&line, '\n');
    print(self, &line);
}

static void say(struct watch *self, const char *text)
{
    say_at(self, pen_clock_wall_ms(), text);
}

static const char *shown_status(const struct watched *action)
{
    return action->approval && is_running(action) ? "Approval" : action->status;
}

/* The action's line; with_time also how long it took or takes. */
static void put_action(const struct watch *self, const struct watched *action, bool color,
                       bool with_time, struct pen_buf *line)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf name = {0};
    pen_buf_printf(&name, "%s/%s", action->stage, action->name);
    pen_text_clean(pen_buf_text(&name), line);
    for (size_t width = pen_text_width(pen_buf_text(&name)); width < 24; width++)
        pen_buf_putc(line, ' ');
    pen_buf_putc(line, ' ');
    pen_text_status(shown_status(action), color, line);
    if (with_time && action->start_ms != 0) {
        int64_t end_ms =
            is_running(action) || action->end_ms == 0 ? pen_clock_wall_ms() : action->end_ms;
        char text[PEN_DURATION_TEXT_SIZE];
        pen_duration_format_brief(end_ms - action->start_ms, text);
        pen_buf_printf(line, " %s", text);
    }
    if (action->agent[0] != 0) {
        pen_buf_puts(line, " on ");
        pen_text_clean(action->agent, line);
    }
    if (is_running(action) && action->percent > 0)
        pen_buf_printf(line, " %" PRId64 "%%", action->percent);
    if (action->approval && is_running(action)) {
        pen_buf_puts(line, "  run: penstock approve ");
        pen_text_clean(self->options->pipeline, line);
    } else if (action->note[0] != 0) {
        pen_buf_puts(line, "  ");
        pen_text_clean(action->note, line);
    }
}

/* Print the action's line, if it says something new. */
static void show_action(struct watch *self, struct watched *action)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf plain = {0};
    if (!is_running(action) && action->shown_over)
        return; /* only its agent became known since */
    action->shown_over = !is_running(action);
    put_action(self, action, false, false, &plain);
    if (pen_str_equal(action->shown, pen_buf_text(&plain)))
        return;
    (void)pen_str_set(&action->shown, pen_buf_text(&plain));
    PEN_CLEANUP(pen_buf_release) struct pen_buf line = {0};
    bool over = !is_running(action) && action->end_ms != 0;
    put_clock(over ? action->end_ms : pen_clock_wall_ms(), &line);
    put_action(self, action, self->cli->color, !is_running(action), &line);
    pen_buf_putc(&line, '\n');
    print(self, &line);
}

/* "NAME | LINE" for each line; the last one may have no end. */
static void put_log(const struct watched *action, const struct pen_buf *lines, struct pen_buf *text)
{
    const char *at = pen_buf_text(lines);
    const char *end = at + lines->size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = stop == NULL ? (size_t)(end - at) : (size_t)(stop - at) + 1;
        pen_text_clean(action->name, text);
        pen_buf_puts(text, " | ");
        pen_buf_append(text, at, size);
        at += size;
    }
}

static void show_logs(struct watch *self, const struct watched *action, const struct pen_buf *lines,
                      const struct pen_buf *part)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf rest = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf out = {0};
    put_log(action, lines, &text);
    if (text.size > 0 && text.data[text.size - 1] != '\n') /* a piece of a long line */
        pen_buf_putc(&text, '\n');
    put_log(action, part, &rest);
    pen_tail_put(&self->tail, action->feed, &text, &rest, &out);
    pen_screen_clear(&self->screen);
    (void)fwrite(pen_buf_text(&out), 1, out.size, stdout);
    (void)fflush(stdout);
}

/* Lines that have no end for a while, such as questions and dots. A terminal has them at its
 * bottom. */
static int show_parts(struct watch *self, int64_t now_ms, struct pen_error *err)
{
    for (size_t i = 0; i < self->count && !self->screen.live; i++) {
        struct watched *action = &self->actions[i];
        PEN_CLEANUP(pen_buf_release) struct pen_buf part = {0};
        if (action->feed != NULL)
            pen_feed_part(action->feed, &part);
        if (part.size == 0) {
            action->part_since_ms = 0;
            continue;
        }
        if (action->part_since_ms == 0)
            action->part_since_ms = now_ms;
        if (now_ms - action->part_since_ms < PART_AFTER_MS ||
            pen_str_equal(action->part, pen_buf_text(&part)))
            continue;
        if (!pen_str_set(&action->part, pen_buf_text(&part)))
            return pen_fail(err, PEN_ENOMEM, "no memory");
        show_logs(self, action, &(struct pen_buf){0}, &part);
        self->quiet_since_ms = now_ms;
    }
    return 0;
}

/* The lines at the bottom: what runs, with its time going on. */
static void redraw(struct watch *self)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    for (size_t i = 0; i < self->count && self->screen.live; i++) {
        if (!is_running(&self->actions[i]))
            continue;
        pen_buf_puts(&text, "  ");
        PEN_CLEANUP(pen_buf_release) struct pen_buf part = {0};
        if (self->actions[i].feed != NULL)
            pen_feed_part(self->actions[i].feed, &part);
        put_log(&self->actions[i], &part, &text);
        pen_buf_puts(&text, part.size == 0 ? "" : "\n");
        put_action(self, &self->actions[i], false, true, &text);
        pen_buf_putc(&text, '\n');
    }
    pen_screen_draw(&self->screen, pen_buf_text(&text));
}

/* ---- what the controller knows */

static struct watched *action_find(struct watch *self, const char *id)
{
    for (size_t i = 0; i < self->count; i++) {
        if (strcmp(self->actions[i].id, id) == 0)
            return &self->actions[i];
    }
    if (self->count == ACTIONS_MAX)
        return NULL;
    struct watched *actions = reallocarray(self->actions, self->count + 1, sizeof *actions);
    if (actions == NULL)
        return NULL;
    self->actions = actions;
    struct watched *action = &actions[self->count];
    *action = (struct watched){0};
    if (!pen_str_set(&action->id, id) || !pen_str_set(&action->agent, ""))
        return NULL;
    self->count++;
    return action;
}

/* Take over a row of ListActionExecutions. */
static int action_update(struct watch *self, const json_t *row, struct pen_error *err)
{
    const json_t *type = json_object_get(json_object_get(row, "input"), "actionTypeId");
    const json_t *result = json_object_get(json_object_get(row, "output"), "executionResult");
    const char *problem = pen_json_text(json_object_get(result, "errorDetails"), "message");
    const char *summary = pen_json_text(result, "externalExecutionSummary");
    const char *category = pen_json_text(type, "category");
    struct watched *action = action_find(self, pen_json_text(row, "actionExecutionId"));
    if (action == NULL || !pen_str_set(&action->stage, pen_json_text(row, "stageName")) ||
        !pen_str_set(&action->name, pen_json_text(row, "actionName")) ||
        !pen_str_set(&action->status, pen_json_text(row, "status")) ||
        !pen_str_set(&action->note, problem[0] != 0 ? problem : summary))
        return pen_fail(err, PEN_ENOMEM, "too many actions, or no memory for them");
    action->approval = strcmp(category, "Approval") == 0;
    action->start_ms = pen_json_time_ms(row, "startTime");
    action->end_ms = pen_json_time_ms(row, "lastUpdateTime");
    if (action->feed == NULL && self->options->logs && !action->approval) {
        json_t *request = json_pack("{s:s}", "actionExecutionId", action->id);
        int rc = pen_feed_create(request, self->options->raw ? PEN_FEED_RAW_LINES : PEN_FEED_LINES,
                                 &action->feed, err);
        json_decref(request);
        return rc;
    }
    return 0;
}

/* Progress is only in the pipeline's state. */
static int progress_update(struct watch *self, struct pen_error *err)
{
    json_t *state = NULL;
    size_t position = 0;
    struct pen_state_action each;
    int rc = pen_state_get(self->cli, self->options->pipeline, &state, err);
    while (rc == 0 && pen_state_next(state, &position, &each)) {
        const char *id = pen_json_text(each.latest, "actionExecutionId");
        for (size_t i = 0; i < self->count; i++) {
            struct watched *action = &self->actions[i];
            if (strcmp(action->id, id) != 0 || !is_running(action))
                continue;
            action->percent = pen_json_number(each.latest, "percentComplete");
            if (!pen_str_set(&action->note, pen_state_note(each.latest)))
                rc = pen_fail(err, PEN_ENOMEM, "no memory");
        }
    }
    json_decref(state);
    return rc;
}

/* Look at all actions of the execution. The list has the newest first; people read the other way.
 */
static int refresh(struct watch *self, struct pen_error *err)
{
    json_t *output = NULL;
    json_t *input = json_pack("{s:s, s:{s:s}}", "pipelineName", self->options->pipeline, "filter",
                              "pipelineExecutionId", self->execution);
    int rc = pen_cli_call_pages(self->cli, PEN_SERVICE_CODEPIPELINE, "ListActionExecutions", input,
                                "actionExecutionDetails", &output, err);
    json_t *rows = pen_json_list(output, "actionExecutionDetails");
    for (size_t i = json_array_size(rows); rc == 0 && i > 0; i--)
        rc = action_update(self, json_array_get(rows, i - 1), err);
    json_decref(output);
    if (rc == 0)
        rc = progress_update(self, err);
    for (size_t i = 0; rc == 0 && i < self->count; i++)
        show_action(self, &self->actions[i]);
    return rc;
}

/* What the actions' lines and the last line say anyway is left out. */
static bool has_own_line(const json_t *fact)
{
    static const char *const silent[] = {"stage_started", "stage_group_started", "stage_ended"};
    const char *kind = pen_json_text(fact, "kind");
    const char *text = pen_json_text(fact, "text");
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        if (strcmp(kind, silent[i]) == 0)
            return false;
    }
    if (text[0] == 0 || strcmp(text, "execution Succeeded") == 0)
        return false;
    return pen_json_text(fact, "action")[0] == 0 || strcmp(kind, "action_requeued") == 0;
}

static void fact_show(struct watch *self, const json_t *fact)
{
    const char *stage = pen_json_text(fact, "stage");
    const char *action = pen_json_text(fact, "action");
    for (size_t i = 0; i < self->count; i++) {
        struct watched *each = &self->actions[i];
        if (each->feed != NULL && is_running(each) && strcmp(each->name, action) == 0 &&
            strcmp(each->stage, stage) == 0)
            pen_feed_reopen(each->feed); /* perhaps a new attempt has begun */
    }
    if (!has_own_line(fact))
        return;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_buf_printf(&text, "%s%s%s%s%s", stage, action[0] == 0 ? "" : "/", action,
                   stage[0] == 0 ? "" : ": ", pen_json_text(fact, "text"));
    say_at(self, pen_json_time_ms(fact, "time"), pen_buf_text(&text));
}

static int facts_take(struct watch *self, struct pen_error *err)
{
    json_t *answer = NULL;
    int rc = pen_call_finish(&self->facts, &answer, err);
    if (rc < 0)
        return rc;
    json_t *facts = pen_json_list(answer, "facts");
    const char *status = pen_json_text(answer, "status");
    bool news = json_array_size(facts) > 0 || self->execution == NULL ||
                !pen_str_equal(status, self->status);
    size_t index;
    json_t *fact;
    if (self->execution == NULL &&
        !pen_str_set(&self->execution, pen_json_text(answer, "executionId")))
        rc = pen_fail(err, PEN_ENOMEM, "no memory");
    if (!pen_str_set(&self->status, status))
        rc = pen_fail(err, PEN_ENOMEM, "no memory");
    json_array_foreach(facts, index, fact)
    {
        fact_show(self, fact);
        if (strcmp(pen_json_text(fact, "kind"), "execution_ended") == 0)
            self->over_ms = pen_json_time_ms(fact, "time");
    }
    self->last_sequence = pen_json_number(answer, "lastSequence");
    self->behind = json_array_size(facts) >= FACTS_MANY;
    json_decref(answer);
    if (rc == 0 && news) {
        self->quiet_since_ms = pen_clock_monotonic_ms();
        rc = refresh(self, err);
    }
    return rc;
}

/* ---- questions */

static int ask(struct watch *self, struct pen_error *err)
{
    int rc = 0;
    if (self->facts == NULL && (!is_terminal(self->status) || self->behind)) {
        /* The first answer at once, and so what is left of it. */
        int wait_s = self->execution == NULL || self->behind ? 0 : WAIT_S;
        json_t *input =
            json_pack("{s:s, s:I, s:i}", "pipelineName", self->options->pipeline, "afterSequence",
                      (json_int_t)self->last_sequence, "waitSeconds", wait_s);
        const char *execution =
            self->execution != NULL ? self->execution : self->options->execution;
        if (execution != NULL)
            (void)json_object_set_new(input, "executionId", json_string(execution));
        rc = pen_call_start(self->cli->client, PEN_SERVICE_PENSTOCK, "WatchExecution", input,
                            wait_s, &self->facts, err);
        json_decref(input);
    }
    for (size_t i = 0; rc == 0 && i < self->count; i++) {
        struct watched *action = &self->actions[i];
        if (action->feed != NULL)
            rc =
                pen_feed_ask(action->feed, self->cli->client, is_running(action) ? WAIT_S : 0, err);
    }
    return rc;
}

static int logs_take(struct watch *self, struct pen_error *err)
{
    for (size_t i = 0; i < self->count; i++) {
        struct watched *action = &self->actions[i];
        if (action->feed == NULL || !pen_feed_is_ready(action->feed))
            continue;
        PEN_CLEANUP(pen_buf_release) struct pen_buf lines = {0};
        int rc = pen_feed_take(action->feed, &lines, err);
        if (rc == PEN_ENOTFOUND || rc == PEN_EINVAL) {
            pen_feed_destroy(&action->feed); /* this kind of action has no log */
            continue;
        }
        if (rc < 0)
            return rc;
        if (!pen_str_set(&action->agent, pen_feed_agent(action->feed)))
            return pen_fail(err, PEN_ENOMEM, "no memory");
        show_action(self, action);
        if (lines.size > 0) {
            action->part_since_ms = 0;
            (void)pen_str_set(&action->part, NULL);
            show_logs(self, action, &lines, &(struct pen_buf){0});
            self->quiet_since_ms = pen_clock_monotonic_ms();
        }
        /* Finished, but its last bytes are still on their way from the agent: not in a tight loop.
         */
        if (!is_running(action) && !pen_feed_is_complete(action->feed) &&
            !pen_feed_has_moved(action->feed))
            return pen_client_sleep(self->cli->client, 100, err);
    }
    return 0;
}

/* Nothing runs on any agent: ask why, and say it once. */
static int say_reason(struct watch *self, struct pen_error *err)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct watched *action = &self->actions[i];
        if (is_running(action) && (action->agent[0] != 0 || action->approval))
            return 0;
    }
    json_t *answer = NULL;
    int rc = pen_cli_call(self->cli, PEN_SERVICE_PENSTOCK, "Explain",
                          json_pack("{s:s, s:s}", "pipelineName", self->options->pipeline,
                                    "executionId", self->execution),
                          &answer, err);
    const char *sentence =
        pen_json_text(json_array_get(pen_json_list(answer, "reasons"), 0), "sentence");
    if (rc == 0 && sentence[0] != 0 && !pen_str_equal(sentence, self->reason)) {
        say(self, sentence);
        (void)pen_str_set(&self->reason, sentence);
    }
    json_decref(answer);
    return rc;
}

/* ---- the loop */

static bool logs_are_over(const struct watch *self)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->actions[i].feed != NULL && !pen_feed_is_complete(self->actions[i].feed))
            return false;
    }
    return true;
}

/* One round: ask, wait, take. */
static int turn(struct watch *self, int64_t now_ms, struct pen_error *err)
{
    int rc = ask(self, err);
    if (rc == 0) {
        redraw(self);
        rc = pen_client_wait(self->cli->client, REDRAW_MS, err);
    }
    if (rc == 0 && self->facts != NULL && pen_call_is_done(self->facts))
        rc = facts_take(self, err);
    if (rc == 0)
        rc = logs_take(self, err);
    if (rc == 0)
        rc = show_parts(self, pen_clock_monotonic_ms(), err);
    if (rc == 0 && self->execution != NULL && !is_terminal(self->status) &&
        now_ms - self->quiet_since_ms >= QUIET_MS) {
        self->quiet_since_ms = now_ms;
        rc = say_reason(self, err);
    }
    return rc;
}

/* The controller may restart under us: all it said is durable, so go on where we were. */
static int stay(struct watch *self, int rc, int64_t now_ms, struct pen_error *err)
{
    if (rc == 0) {
        if (self->away_since_ms != 0)
            say(self, "the controller is back");
        self->away_since_ms = 0;
        return 0;
    }
    if (rc != PEN_EUNAVAILABLE || pen_client_interrupted(self->cli->client) ||
        self->execution == NULL)
        return rc;
    if (self->away_since_ms == 0) {
        say(self, "the controller does not answer; trying again for a minute");
        self->away_since_ms = now_ms;
    }
    if (now_ms - self->away_since_ms > AWAY_MAX_MS)
        return rc;
    return pen_client_sleep(self->cli->client, AWAY_EVERY_MS, err);
}

static void finish(struct watch *self)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    const char *status = self->status;
    self->cli->exit_code = strcmp(status, "Succeeded") == 0    ? PEN_EXIT_OK
                           : strcmp(status, "Superseded") == 0 ? PEN_EXIT_SUPERSEDED
                                                               : PEN_EXIT_FAILED;
    put_clock(self->over_ms != 0 ? self->over_ms : pen_clock_wall_ms(), &text);
    pen_buf_puts(&text, "execution ");
    pen_text_clean(self->execution, &text);
    pen_buf_putc(&text, ' ');
    pen_text_status(status, self->cli->color, &text);
    pen_buf_putc(&text, '\n');
    print(self, &text);
}

static int loop(struct watch *self, struct pen_error *err)
{
    int64_t begin_ms = pen_clock_monotonic_ms();
    int64_t timeout_ms = self->options->timeout_ms;
    self->quiet_since_ms = begin_ms;
    for (;;) {
        int64_t now_ms = pen_clock_monotonic_ms();
        int rc = stay(self, turn(self, now_ms, err), now_ms, err);
        if (rc < 0)
            return rc;
        if (is_terminal(self->status) && !self->behind && self->away_since_ms == 0) {
            self->ended_ms = self->ended_ms == 0 ? now_ms : self->ended_ms;
            if (logs_are_over(self) || now_ms - self->ended_ms > LAST_LOGS_MS) {
                finish(self);
                return 0;
            }
        } else if (timeout_ms >= 0 && now_ms - begin_ms >= timeout_ms) {
            say(self, "still going on; stopped looking");
            self->cli->exit_code = PEN_EXIT_WAITING;
            return 0;
        }
    }
}

int pen_watch(struct pen_cli *cli, const struct pen_watch_options *options, struct pen_error *err)
{
    PEN_CLEANUP(watch_release) struct watch self = {.cli = cli, .options = options};
    int rc = pen_cli_open(cli, err);
    if (rc == 0)
        rc = pen_client_catch_signals(cli->client, err);
    if (rc < 0)
        return rc;
    pen_screen_begin(&self.screen, cli->terminal);
    rc = loop(&self, err);
    print(&self, &(struct pen_buf){0});
    if (rc < 0 && pen_client_interrupted(cli->client))
        (void)fprintf(stderr, "stopped looking; the execution goes on: penstock watch %s\n",
                      options->pipeline);
    return rc;
}
