#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/text.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"

/* More pages than this are a controller that goes round in circles. */
enum { PAGES_MAX = 10000 };

/* ---- words */

const char *pen_cli_option_at(const struct pen_cli *cli, const char *name, size_t index)
{
    for (size_t i = 0; i < cli->given_count; i++) {
        if (strcmp(cli->given[i].option->name, name) == 0 && index-- == 0)
            return cli->given[i].value;
    }
    return NULL;
}

/* The last one counts, as with other programs. */
const char *pen_cli_option(const struct pen_cli *cli, const char *name)
{
    for (size_t i = cli->given_count; i > 0; i--) {
        if (strcmp(cli->given[i - 1].option->name, name) == 0)
            return cli->given[i - 1].value;
    }
    return NULL;
}

const char *pen_cli_argument(const struct pen_cli *cli, size_t index)
{
    return index < cli->arguments_count ? cli->arguments[index] : NULL;
}

const char *pen_cli_keep(struct pen_cli *cli, const char *word, size_t size, struct pen_error *err)
{
    char *copy = cli->kept_count == PEN_CLI_KEPT_MAX ? NULL : strndup(word, size);
    if (copy == NULL)
        pen_fail(err, PEN_ENOMEM, "no memory for one word more");
    else
        cli->kept[cli->kept_count++] = copy;
    return copy;
}

/* ---- calls */

int pen_cli_open(struct pen_cli *cli, struct pen_error *err)
{
    if (cli->client != NULL)
        return 0;
    int rc = pen_settings_find(pen_cli_option(cli, "--endpoint"), pen_cli_option(cli, "--profile"),
                               pen_cli_option(cli, "--region"), &cli->settings, err);
    return rc < 0 ? rc : pen_client_create(&cli->settings, &cli->client, err);
}

int pen_cli_call(struct pen_cli *cli, enum pen_service service, const char *operation,
                 json_t *input, json_t **ret_output, struct pen_error *err)
{
    int rc = input == NULL ? pen_fail(err, PEN_EINVAL,
                                      "%s: an argument is not UTF-8, or memory ran out", operation)
                           : pen_cli_open(cli, err);
    if (rc == 0)
        rc = pen_client_call(cli->client, service, operation, input, ret_output, err);
    json_decref(input);
    return rc;
}

static int pages_collect(struct pen_cli *cli, enum pen_service service, const char *operation,
                         json_t *input, const char *member, json_t *all, struct pen_error *err)
{
    for (int page = 0; page < PAGES_MAX; page++) {
        json_t *output = NULL;
        int rc = pen_cli_call(cli, service, operation, json_incref(input), &output, err);
        if (rc < 0)
            return rc;
        json_t *list = pen_json_list(output, member);
        if (list != NULL && json_array_extend(all, list) < 0)
            rc = pen_fail(err, PEN_ENOMEM, "%s: out of memory", operation);
        json_t *next = json_object_get(output, "nextToken");
        bool more = json_is_string(next);
        if (rc == 0 && more && json_object_set(input, "nextToken", next) < 0)
            rc = pen_fail(err, PEN_ENOMEM, "%s: out of memory", operation);
        json_decref(output);
        if (rc < 0 || !more)
            return rc;
    }
    return pen_fail(err, PEN_ELIMIT, "%s: more than %d pages", operation, PAGES_MAX);
}

int pen_cli_call_pages(struct pen_cli *cli, enum pen_service service, const char *operation,
                       json_t *input, const char *member, json_t **ret_output,
                       struct pen_error *err)
{
    json_t *all = json_array();
    int rc = all == NULL ? pen_fail(err, PEN_ENOMEM, "%s: out of memory", operation)
                         : pages_collect(cli, service, operation, input, member, all, err);
    json_decref(input);
    if (rc == 0) {
        *ret_output = json_pack("{s:O}", member, all);
        if (*ret_output == NULL)
            rc = pen_fail(err, PEN_ENOMEM, "%s: out of memory", operation);
    }
    json_decref(all);
    return rc;
}

int pen_cli_call_done(struct pen_cli *cli, enum pen_service service, const char *operation,
                      json_t *input, struct pen_error *err, const char *done, ...)
{
    json_t *output = NULL;
    int rc = pen_cli_call(cli, service, operation, input, &output, err);
    if (rc < 0)
        return rc;
    if (cli->json) {
        pen_print_json(output);
    } else {
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        PEN_CLEANUP(pen_buf_release) struct pen_buf clean = {0};
        va_list args;
        va_start(args, done);
        pen_buf_vprintf(&text, done, args);
        va_end(args);
        pen_text_clean(pen_buf_text(&text), &clean);
        (void)puts(pen_buf_text(&clean));
    }
    json_decref(output);
    return 0;
}

/* ---- how it ends */

int pen_cli_exit_code(int code)
{
    switch (code) {
    case PEN_OK:
        return PEN_EXIT_OK;
    case PEN_EINVAL:
    case PEN_ELIMIT:
    case PEN_EUNSUPPORTED:
        return PEN_EXIT_USAGE;
    case PEN_ENOTFOUND:
        return PEN_EXIT_NOT_FOUND;
    case PEN_EDENIED:
        return PEN_EXIT_DENIED;
    case PEN_EUNAVAILABLE:
    case PEN_ETIMEOUT:
        return PEN_EXIT_UNAVAILABLE;
    default:
        return PEN_EXIT_FAILED;
    }
}
