/* penstock logs */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/feed.h"
#include "cli/input.h"
#include "cli/tail.h"
#include "cli/text.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/io/clock.h"

enum {
    RETRY_FOR_MS = 60000,
    RETRY_EVERY_MS = 1000,
    NOTE_EVERY_S = 2, /* while there is no output: what the action waits for may change */
};

/* How much an action execution is what somebody means who names none. */
static int interest(const json_t *row)
{
    const char *status = pen_json_text(row, "status");
    const json_t *type = json_object_get(json_object_get(row, "input"), "actionTypeId");
    if (strcmp(pen_json_text(type, "category"), "Approval") == 0)
        return 0;
    return strcmp(status, "InProgress") == 0 ? 3 : strcmp(status, "Failed") == 0 ? 2 : 1;
}

static int list_execution(struct pen_cli *cli, const char *execution, json_t **ret_rows,
                          struct pen_error *err)
{
    json_t *input = json_pack("{s:s, s:{s:s}}", "pipelineName", pen_cli_argument(cli, 0), "filter",
                              "pipelineExecutionId", execution);
    return pen_cli_call_pages(cli, PEN_SERVICE_CODEPIPELINE, "ListActionExecutions", input,
                              "actionExecutionDetails", ret_rows, err);
}

/* Actions of the latest execution first. Not the whole history: the page that tells which execution
 * that is, or, when it holds nothing else, all pages of that execution. */
static int list_latest(struct pen_cli *cli, json_t **ret_rows, struct pen_error *err)
{
    json_t *output = NULL;
    json_t *input = json_pack("{s:s}", "pipelineName", pen_cli_argument(cli, 0));
    int rc =
        pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "ListActionExecutions", input, &output, err);
    if (rc < 0)
        return rc;
    const json_t *rows = pen_json_list(output, "actionExecutionDetails");
    const char *first = pen_json_text(json_array_get(rows, 0), "pipelineExecutionId");
    const char *last =
        pen_json_text(json_array_get(rows, json_array_size(rows) - 1), "pipelineExecutionId");
    if (first[0] == 0 || strcmp(first, last) != 0 || pen_json_text(output, "nextToken")[0] == 0) {
        *ret_rows = output;
        return 0;
    }
    rc = list_execution(cli, first, ret_rows, err);
    json_decref(output);
    return rc;
}

/* Of the execution, or the latest one (the list has the newest first), the most interesting action.
 */
static int action_choose(struct pen_cli *cli, json_t *request, struct pen_error *err)
{
    const char *execution = pen_cli_option(cli, "--execution");
    const char *stage = pen_cli_option(cli, "--stage");
    json_t *output = NULL;
    int rc = execution != NULL ? list_execution(cli, execution, &output, err)
                               : list_latest(cli, &output, err);
    if (rc < 0)
        return rc;
    const char *latest = NULL;
    const json_t *best = NULL;
    size_t index;
    json_t *row;
    json_array_foreach(pen_json_list(output, "actionExecutionDetails"), index, row)
    {
        const char *of = pen_json_text(row, "pipelineExecutionId");
        latest = latest == NULL ? of : latest;
        if (strcmp(of, latest) == 0 &&
            (stage == NULL || strcmp(stage, pen_json_text(row, "stageName")) == 0) &&
            interest(row) > (best == NULL ? 0 : interest(best)))
            best = row;
    }
    if (best == NULL)
        rc = pen_fail(err, PEN_ENOTFOUND, "no action with a log has run yet");
    else
        pen_input_set(request, "actionExecutionId", pen_json_text(best, "actionExecutionId"));
    json_decref(output);
    return rc;
}

/* ACTION, or STAGE/ACTION as `penstock watch` prints it. */
static void action_set(const struct pen_cli *cli, json_t *request)
{
    const char *action = pen_cli_argument(cli, 1);
    const char *slash = strchr(action, '/');
    pen_input_set(request, "stageName", pen_cli_option(cli, "--stage"));
    if (slash != NULL)
        (void)json_object_set_new(request, "stageName",
                                  json_stringn(action, (size_t)(slash - action)));
    pen_input_set(request, "actionName", slash == NULL ? action : slash + 1);
}

/* What GetLogs is asked for. */
static int request_make(struct pen_cli *cli, json_t **ret_request, struct pen_error *err)
{
    json_t *request = json_object();
    int rc = 0;
    if (pen_cli_argument(cli, 1) == NULL) {
        rc = action_choose(cli, request, err);
    } else {
        pen_input_set(request, "pipelineName", pen_cli_argument(cli, 0));
        pen_input_set(request, "executionId", pen_cli_option(cli, "--execution"));
        action_set(cli, request);
    }
    if (rc < 0)
        json_decref(request);
    else
        *ret_request = request;
    return rc;
}

/* What is shown, and of which log. */
struct view {
    struct pen_feed *feed;
    struct pen_tail tail;
    bool raw;
    char *note; /* that was shown last */
};

static void view_release(struct view *self)
{
    pen_feed_destroy(&self->feed);
    pen_tail_release(&self->tail);
    free(self->note);
}

/* A log that says nothing: what the action says instead, beside what is the log. */
static void show_note(struct view *self)
{
    const char *note = pen_feed_note(self->feed);
    if (note[0] == 0 || pen_str_equal(self->note, note) || !pen_str_set(&self->note, note))
        return;
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_text_clean(note, &text);
    (void)fprintf(stderr, "no output%s: %s\n", pen_feed_is_complete(self->feed) ? "" : " yet",
                  pen_buf_text(&text));
}

static int write_out(const struct pen_buf *text, struct pen_error *err)
{
    if (text->size > 0)
        (void)fwrite(text->data, 1, text->size, stdout);
    return fflush(stdout) != 0 ? pen_fail_errno(err, "cannot write the log") : 0;
}

/* One question and answer. */
static int step(struct pen_cli *cli, struct view *view, int wait_s, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf part = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf out = {0};
    int rc = pen_feed_ask(view->feed, cli->client, wait_s, err);
    while (rc == 0 && !pen_feed_is_ready(view->feed))
        rc = pen_client_wait(cli->client, 60000, err);
    if (rc == 0)
        rc = pen_feed_take(view->feed, &text, err);
    if (rc == 0 && view->raw)
        return write_out(&text, err);
    if (rc == 0) {
        pen_feed_part(view->feed, &part);
        pen_tail_put(&view->tail, view->feed, &text, &part, &out);
        rc = pen_buf_ok(&out, err);
    }
    return rc < 0 ? rc : write_out(&out, err);
}

/* Follow to the end, over restarts of the controller. */
static int follow(struct pen_cli *cli, struct view *view, struct pen_error *err)
{
    int64_t last_good_ms = pen_clock_monotonic_ms();
    int wait_s = 0; /* the first answer comes at once, and says what there is to wait for */
    int rc = 0;
    while (rc == 0 && !pen_feed_is_complete(view->feed)) {
        rc = step(cli, view, wait_s, err);
        if (rc == 0)
            show_note(view);
        wait_s = pen_feed_note(view->feed)[0] != 0 ? NOTE_EVERY_S : PEN_LIMIT_LONG_POLL_MS / 1000;
        int64_t now_ms = pen_clock_monotonic_ms();
        if (rc == 0)
            last_good_ms = now_ms;
        else if (rc == PEN_EUNAVAILABLE && !pen_client_interrupted(cli->client) &&
                 now_ms - last_good_ms < RETRY_FOR_MS)
            rc = pen_client_sleep(cli->client, RETRY_EVERY_MS, err);
    }
    return rc;
}

/* All there is now. */
static int show(struct pen_cli *cli, struct view *view, struct pen_error *err)
{
    int rc;
    do
        rc = step(cli, view, 0, err);
    while (rc == 0 && pen_feed_has_moved(view->feed) && !pen_feed_is_complete(view->feed));
    if (rc == 0)
        show_note(view);
    return rc;
}

/* The API's own answer: one page from the beginning. */
static int show_json(struct pen_cli *cli, json_t *request, struct pen_error *err)
{
    (void)json_object_set_new(request, "offset", json_integer(0));
    json_t *output = NULL;
    int rc = pen_cli_call(cli, PEN_SERVICE_PENSTOCK, "GetLogs", request, &output, err);
    if (rc == 0)
        pen_print_json(output);
    json_decref(output);
    return rc;
}

int pen_cmd_logs(struct pen_cli *cli, struct pen_error *err)
{
    PEN_CLEANUP(view_release)
    struct view view = {.tail.terminal = cli->terminal,
                        .raw = pen_cli_option(cli, "--raw") != NULL};
    json_t *request = NULL;
    bool following = pen_cli_option(cli, "--follow") != NULL;
    int rc = pen_cli_open(cli, err);
    if (rc == 0)
        rc = request_make(cli, &request, err);
    if (rc < 0)
        return rc;
    if (cli->json)
        return show_json(cli, request, err);
    rc = pen_feed_create(request, view.raw ? PEN_FEED_BYTES : PEN_FEED_LINES, &view.feed, err);
    json_decref(request);
    if (rc == 0 && following)
        rc = pen_client_catch_signals(cli->client, err);
    if (rc == 0)
        rc = following ? follow(cli, &view, err) : show(cli, &view, err);
    PEN_CLEANUP(pen_buf_release) struct pen_buf end = {0};
    pen_tail_end(&view.tail, &end);
    int written = write_out(&end, rc == 0 ? err : NULL);
    if (rc == 0 && (rc = written) == 0 && *pen_feed_damage(view.feed) != 0)
        return pen_fail(err, PEN_ECORRUPT, "%s", pen_feed_damage(view.feed));
    return rc;
}
