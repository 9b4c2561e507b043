#include "agent/actions/command.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shim/shim.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

/* ---- the script */

static bool name_valid(const char *name)
{
    if (pen_str_empty(name) || (*name >= '0' && *name <= '9'))
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") ==
           strlen(name);
}

static void put_quoted(struct pen_buf *text, const char *word)
{
    pen_buf_putc(text, '\'');
    for (const char *at = word; *at != 0; at++)
        if (*at == '\'')
            pen_buf_puts(text, "'\\''");
        else
            pen_buf_putc(text, *at);
    pen_buf_putc(text, '\'');
}

/* At the end, however it comes: "V", then NAME=value and a zero for each variable that is set. */
static int put_variables(const Pen__Capsule *capsule, struct pen_buf *text, struct pen_error *err)
{
    if (capsule->n_output_variables == 0)
        return 0;
    pen_buf_puts(text, "trap 'penstock_status=$?; trap - EXIT; { printf V;");
    for (size_t i = 0; i < capsule->n_output_variables; i++) {
        const char *name = capsule->output_variables[i];
        if (!name_valid(name))
            return pen_fail(err, PEN_EINVAL, "outputVariables: '%s' is no name of a variable",
                            name);
        pen_buf_printf(text, " [ -z \"${%s+x}\" ] || printf \"%s=%%s\\\\0\" \"$%s\";", name, name,
                       name);
    }
    pen_buf_printf(text, " } >&%d; exit $penstock_status' EXIT\n", PEN_SHIM_REPORT_FD);
    return 0;
}

int pen_command_script(const Pen__Capsule *capsule, struct pen_buf *ret_text, struct pen_error *err)
{
    int rc = put_variables(capsule, ret_text, err);
    if (rc < 0)
        return rc;
    /* eval keeps a syntax error of one command from the others. */
    for (size_t i = 0; i < capsule->n_commands; i++) {
        if (i > 0)
            pen_buf_printf(ret_text, "echo %zu >&%d\n", i, PEN_SHIM_REPORT_FD);
        pen_buf_puts(ret_text, "eval ");
        put_quoted(ret_text, capsule->commands[i]);
        pen_buf_puts(ret_text, "\ncase $? in 0) ;; *) exit ;; esac\n");
    }
    return pen_buf_ok(ret_text, err);
}

/* ---- the environment */

int pen_texts_add(char ***texts, size_t *count, const char *text, struct pen_error *err)
{
    char **grown = realloc(*texts, (*count + 1) * sizeof *grown);
    if (grown == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a list of texts");
    *texts = grown;
    char *copy = text == NULL ? NULL : strdup(text);
    if (copy == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a list of texts");
    grown[(*count)++] = copy;
    return 0;
}

static bool action_sets(const Pen__Capsule *capsule, const char *name)
{
    for (size_t i = 0; i < capsule->n_environment; i++)
        if (pen_str_equal(capsule->environment[i]->key, name))
            return true;
    return false;
}

struct adding {
    const Pen__Capsule *capsule;
    Pen__ShimOrder *order;
    struct pen_error *err;
    int rc;
};

static void put(struct adding *to, const char *name, const char *value)
{
    if (to->rc < 0 || value == NULL || action_sets(to->capsule, name))
        return;
    PEN_CLEANUP(pen_free) char *text = pen_strdup_printf("%s=%s", name, value);
    to->rc = pen_texts_add(&to->order->environment, &to->order->n_environment, text, to->err);
}

static void put_action_environment(struct adding *to)
{
    for (size_t i = 0; to->rc == 0 && i < to->capsule->n_environment; i++) {
        const char *name = to->capsule->environment[i]->key;
        const char *value = to->capsule->environment[i]->value;
        if (!name_valid(name) || pen_str_starts_with(name, "PENSTOCK_")) {
            to->rc = pen_fail(to->err, PEN_EINVAL, "environment: '%s' %s", name,
                              name_valid(name) ? "begins with PENSTOCK_, which is reserved"
                                               : "is no name of a variable");
            return;
        }
        PEN_CLEANUP(pen_free)
        char *text = pen_strdup_printf("%s=%s", name, value == NULL ? "" : value);
        to->rc = pen_texts_add(&to->order->environment, &to->order->n_environment, text, to->err);
    }
}

/* $CODEBUILD_SRC_DIR_<name>: letters, digits and _ of the artifact's name, others become _. */
static void put_inputs(struct adding *to, const struct pen_command_folders *folders)
{
    put(to, "CODEBUILD_SRC_DIR", folders->source);
    for (size_t i = 1; i < to->capsule->n_inputs; i++) {
        PEN_CLEANUP(pen_free)
        char *name = pen_strdup_printf("CODEBUILD_SRC_DIR_%s", to->capsule->inputs[i]->name);
        PEN_CLEANUP(pen_free) char *path = pen_strdup_printf("%s/%zu", folders->inputs, i);
        if (name == NULL || path == NULL) {
            to->rc = pen_fail(to->err, PEN_ENOMEM, "no memory for the environment");
            return;
        }
        for (char *at = name; *at != 0; at++)
            if (*at == '-' || *at == '@' || *at == '.')
                *at = '_';
        put(to, name, path);
    }
}

int pen_command_environment(const Pen__Capsule *capsule, const struct pen_command_folders *folders,
                            Pen__ShimOrder *order, struct pen_error *err)
{
    struct adding to = {.capsule = capsule, .order = order, .err = err};
    PEN_CLEANUP(pen_free) char *fence = pen_strdup_printf("%" PRIu64, capsule->fence);
    put_action_environment(&to);
    put(&to, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    put(&to, "LANG", "C.UTF-8");
    put(&to, "CI", "true");
    put(&to, "HOME", folders->home);
    put(&to, "TMPDIR", folders->tmp);
    put(&to, "PWD", folders->source);
    put_inputs(&to, folders);
    put(&to, "AWS_REGION", capsule->region);
    put(&to, "AWS_DEFAULT_REGION", capsule->region);
    put(&to, "PENSTOCK_FENCE", fence);
    put(&to, "PENSTOCK_IDEMPOTENCY_KEY", capsule->action_execution_id);
    put(&to, "PENSTOCK_PIPELINE", capsule->pipeline);
    put(&to, "PENSTOCK_PIPELINE_EXECUTION_ID", capsule->pipeline_execution_id);
    put(&to, "PENSTOCK_STAGE", capsule->stage);
    put(&to, "PENSTOCK_ACTION", capsule->action);
    put(&to, "PENSTOCK_ACCOUNT", capsule->account);
    return to.rc;
}
