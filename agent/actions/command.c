#include "agent/actions/command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shim/shim.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

/* ---- the shell */

static const char *configuration(const Pen__Capsule *capsule, const char *key)
{
    for (size_t i = 0; i < capsule->n_configuration; i++)
        if (pen_str_equal(capsule->configuration[i]->key, key))
            return capsule->configuration[i]->value;
    return NULL;
}

static bool is_bash(const Pen__Capsule *capsule)
{
    const char *shell = configuration(capsule, "Shell");
    return shell != NULL && pen_str_equal(shell, "bash");
}

static const char *shell_path(const Pen__Capsule *capsule)
{
    return is_bash(capsule) ? "/bin/bash" : "/bin/sh";
}

int pen_command_shell_words(const Pen__Capsule *capsule, Pen__ShimOrder *order,
                            struct pen_error *err)
{
    const char *pipefail = configuration(capsule, "Pipefail");
    int rc = pen_texts_add(&order->argv, &order->n_argv, shell_path(capsule), err);
    if (rc == 0 && is_bash(capsule) && pipefail != NULL && pen_str_equal(pipefail, "true")) {
        rc = pen_texts_add(&order->argv, &order->n_argv, "-o", err);
        if (rc == 0)
            rc = pen_texts_add(&order->argv, &order->n_argv, "pipefail", err);
    }
    return rc;
}

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

/* Lines of ours between those of the user share nothing with them: no descriptor, variable or
 * function; the status of the command before is $? alone. They are made of reserved words,
 * redirections and special built-ins (quoted, against aliases), which no function can replace, and
 * our program by its path. What is redirected to /dev/null around them is the trace of `set -x`. */

/* FOLDER/name in quotes. */
static void put_path(struct pen_buf *text, const char *folder, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void put_path(struct pen_buf *text, const char *folder, const char *format, ...)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    va_list args;
    pen_buf_printf(&path, "%s/", folder);
    va_start(args, format);
    pen_buf_vprintf(&path, format, args);
    va_end(args);
    if (pen_buf_ok(&path, NULL) < 0)
        text->failed = true;
    else
        put_quoted(text, pen_buf_text(&path));
}

/* A command before has failed: $? stays, so that all that follows is skipped and the shell ends
 * with it. Only bash lets a function be named exit. */
static void put_failed(const Pen__Capsule *capsule, struct pen_buf *text)
{
    pen_buf_printf(text, " *) (%s\\exit \"$?\") ;;\nesac; } 2>/dev/null",
                   is_bash(capsule) ? "\\builtin " : "");
}

/* Before a command but the first: unless one has failed, make the file that says how far we are,
 * and keep in another one that commands are traced, while ours are not. */
static void put_step(const Pen__Capsule *capsule, size_t index, const char *folder,
                     struct pen_buf *text)
{
    pen_buf_puts(text, "{ case $? in\n0) if >");
    put_path(text, folder, "%zu", index);
    pen_buf_puts(text, " <>");
    put_path(text, folder, "turn");
    pen_buf_puts(text, "; then case $- in *x*) >");
    put_path(text, folder, "%zux", index);
    pen_buf_puts(text, "; \\set +x ;; esac; fi ;;\n");
    put_failed(capsule, text);
    pen_buf_puts(text, " && ");
}

/* eval keeps a syntax error of one command from the others. */
static void put_command(const Pen__Capsule *capsule, size_t index, const char *folder,
                        struct pen_buf *text)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf words = {0};
    if (index > 0) {
        put_step(capsule, index, folder, text);
        pen_buf_puts(&words, "if { <");
        put_path(&words, folder, "%zux", index);
        pen_buf_puts(&words, "; } 2>/dev/null; then \\set -x; fi; ");
    }
    pen_buf_puts(&words, capsule->commands[index]);
    pen_buf_puts(text, "\\eval ");
    put_quoted(text, pen_buf_text(&words));
    pen_buf_putc(text, '\n');
}

/* Start our program with the values in its environment; its status is not the commands'. */
static void put_call(const Pen__Capsule *capsule, const struct pen_command_shell *shell,
                     struct pen_buf *text)
{
    pen_buf_puts(text, "if ");
    for (size_t i = 0; i < capsule->n_output_variables; i++)
        pen_buf_printf(text, "PENSTOCK_VALUE_%zu=\"${%s-}\" ", i, capsule->output_variables[i]);
    put_quoted(text, shell->program);
    pen_buf_puts(text, " variables ");
    put_quoted(text, shell->folder);
    for (size_t i = 0; i < capsule->n_output_variables; i++)
        pen_buf_printf(text, " \"${%s+%s}\"", capsule->output_variables[i],
                       capsule->output_variables[i]);
    pen_buf_puts(text, "; then :; fi");
}

static bool mentions_exit(const Pen__Capsule *capsule)
{
    for (size_t i = 0; i < capsule->n_commands; i++)
        if (strstr(capsule->commands[i], "exit") != NULL)
            return true;
    return false;
}

/* Only a trap sees the variables of a shell that a command ends. There is one where a command is
 * about to, it comes before the user's first, and any of theirs takes its place (decision 0027). */
static void put_trap(const Pen__Capsule *capsule, const struct pen_command_shell *shell,
                     struct pen_buf *text)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf words = {0};
    if (!mentions_exit(capsule))
        return;
    pen_buf_puts(&words, "{ case $? in\n0) if <");
    put_path(&words, shell->folder, "variables");
    pen_buf_puts(&words, "; then :; else ");
    put_call(capsule, shell, &words);
    pen_buf_puts(&words, "; fi ;;\nesac; } 2>/dev/null");
    pen_buf_puts(text, "\\trap ");
    put_quoted(text, pen_buf_text(&words));
    pen_buf_puts(text, " EXIT\n");
}

static int check_names(const Pen__Capsule *capsule, struct pen_error *err)
{
    for (size_t i = 0; i < capsule->n_output_variables; i++)
        if (!name_valid(capsule->output_variables[i]))
            return pen_fail(err, PEN_EINVAL, "outputVariables: '%s' is no name of a variable",
                            capsule->output_variables[i]);
    return 0;
}

bool pen_command_reports(const Pen__Capsule *capsule)
{
    return capsule->n_commands > 1 || capsule->n_output_variables > 0;
}

int pen_command_script(const Pen__Capsule *capsule, const struct pen_command_shell *shell,
                       struct pen_buf *ret_text, struct pen_error *err)
{
    int rc = check_names(capsule, err);
    if (rc < 0)
        return rc;
    if (!pen_command_reports(capsule)) { /* nothing of ours at all; a leading - is no option */
        pen_buf_printf(ret_text, " %s", capsule->n_commands == 0 ? "" : capsule->commands[0]);
        return pen_buf_ok(ret_text, err);
    }
    if (capsule->n_output_variables > 0)
        put_trap(capsule, shell, ret_text);
    for (size_t i = 0; i < capsule->n_commands; i++)
        put_command(capsule, i, shell->folder, ret_text);
    if (capsule->n_output_variables > 0) {
        pen_buf_puts(ret_text, "{ case $? in\n0) ");
        put_call(capsule, shell, ret_text);
        pen_buf_puts(ret_text, " ;;\n");
        put_failed(capsule, ret_text);
        pen_buf_putc(ret_text, '\n');
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
            to->rc = pen_fail(to->err, PEN_EINVAL, "environmentVariables: '%s' %s", name,
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
    put(&to, "TERM", "dumb");
    put(&to, "SHELL", shell_path(capsule));
    put(&to, "USER", folders->user);
    put(&to, "LOGNAME", folders->user);
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
