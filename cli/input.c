#include "cli/input.h"

#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/json_place.h"
#include "cli/text.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/base/units.h"
#include "common/io/file.h"

enum { SECRET_BYTES_MAX = 16 * 1024 };

static const char *real_path(const char *path)
{
    return strcmp(path, "-") == 0 ? "/dev/stdin" : path;
}

void pen_pipeline_file_release(struct pen_pipeline_file *self)
{
    pen_buf_release(&self->text);
    json_decref(self->input);
    self->input = NULL;
}

int pen_input_pipeline(const char *path, struct pen_pipeline_file *ret_file, struct pen_error *err)
{
    struct pen_buf *text = &ret_file->text;
    ret_file->path = path;
    int rc = pen_file_read(real_path(path), PEN_LIMIT_HTTP_BODY_BYTES, text, err);
    if (rc < 0)
        return rc;
    json_error_t problem;
    json_t *json = json_loadb(pen_buf_text(text), text->size, JSON_REJECT_DUPLICATES, &problem);
    if (json == NULL)
        return pen_fail(err, PEN_EINVAL, "%s:%d:%d: %s", path, problem.line, problem.column,
                        problem.text);
    json_t *pipeline = json_object_get(json, "pipeline");
    ret_file->bare = pipeline == NULL;
    if (ret_file->bare && json_is_object(json))
        ret_file->input = json_pack("{s:O}", "pipeline", json);
    else if (json_is_object(pipeline))
        ret_file->input = json_incref(json);
    json_decref(json);
    if (ret_file->input == NULL)
        return pen_fail(err, PEN_EINVAL, "%s: expected a JSON object, the pipeline", path);
    (void)json_object_del(ret_file->input, "metadata");
    return 0;
}

/* One line for a member: where it is, and what was probably meant. */
static void put_unknown(const struct pen_pipeline_file *file, const json_t *member,
                        struct pen_buf *text)
{
    static const char outer[] = "/pipeline";
    const char *pointer = pen_json_text(member, "pointer");
    const char *nearest = pen_json_text(member, "nearest");
    const char *inner = pointer;
    if (file->bare && pen_str_starts_with(pointer, outer))
        inner += sizeof outer - 1;
    struct pen_json_place place = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf name = {0};
    (void)pen_json_place_find(pen_buf_text(&file->text), file->text.size, inner, &place, &name);
    pen_buf_printf(text, "%s:%d:%d: there is no member '", file->path, place.line, place.column);
    pen_text_clean(pen_buf_text(&name), text);
    pen_buf_puts(text, nearest[0] == 0 ? "'" : "'; did you mean '");
    pen_text_clean(nearest, text);
    pen_buf_puts(text, nearest[0] == 0 ? "" : "'?");
}

int pen_input_unknown_members(const struct pen_pipeline_file *file, const json_t *unknown,
                              struct pen_error *err)
{
    enum { TEXT_MAX = PEN_ERROR_MESSAGE_MAX - 32 };
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    size_t count = json_array_size(unknown);
    for (size_t i = 0; i < count; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf line = {0};
        put_unknown(file, json_array_get(unknown, i), &line);
        if (i > 0 && text.size + line.size > TEXT_MAX) {
            pen_buf_printf(&text, "\nand %zu more", count - i);
            break;
        }
        pen_buf_printf(&text, "%s%s", i == 0 ? "" : "\n", pen_buf_text(&line));
    }
    return pen_fail(err, PEN_EINVAL, "%s", pen_buf_text(&text));
}

/* Turn the terminal's echo off, if standard input is one; false when nothing was changed. */
static bool echo_off(struct termios *ret_before)
{
    if (tcgetattr(STDIN_FILENO, ret_before) < 0)
        return false;
    struct termios quiet = *ret_before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    return tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
}

/* One line from a terminal: reading to the end would wait for a second Ctrl-D. */
static int secret_from_terminal(const char *what, struct pen_buf *ret_text, struct pen_error *err)
{
    struct termios before;
    bool quiet = echo_off(&before);
    PEN_CLEANUP(pen_buf_release) struct pen_buf prompt = {0};
    pen_buf_printf(&prompt, "%s: ", what);
    (void)pen_file_write_all(STDERR_FILENO, prompt.data, prompt.size, NULL);
    uint8_t *room = pen_buf_reserve(ret_text, SECRET_BYTES_MAX);
    ssize_t got = room == NULL ? -1 : read(STDIN_FILENO, room, SECRET_BYTES_MAX);
    int rc = got < 0 ? pen_fail_errno(err, "cannot read the %s", what) : 0;
    if (got > 0)
        pen_buf_added(ret_text, (size_t)got);
    if (quiet) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        (void)pen_file_write_all(STDERR_FILENO, "\n", 1, NULL);
    }
    return rc;
}

/* A private key has many lines; every other secret is the first. */
static size_t secret_length(const char *text)
{
    return pen_str_starts_with(text, "-----BEGIN ") ? strlen(text) : strcspn(text, "\r\n");
}

int pen_input_secret(const char *path, const char *what, struct pen_buf *ret_secret,
                     struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    bool terminal = strcmp(path, "-") == 0 && isatty(STDIN_FILENO) == 1;
    int rc = terminal ? secret_from_terminal(what, &text, err)
                      : pen_file_read(real_path(path), SECRET_BYTES_MAX, &text, err);
    if (rc < 0)
        return rc;
    size_t length = secret_length(pen_buf_text(&text));
    if (length == 0)
        rc = pen_fail(err, PEN_EINVAL, "no %s in '%s'", what, path);
    else
        pen_buf_append(ret_secret, text.data, length);
    if (text.data != NULL)
        explicit_bzero(text.data, text.size);
    return rc;
}

int pen_input_set_secret(json_t *object, const char *member, const char *path, const char *what,
                         struct pen_error *err)
{
    if (path == NULL)
        return 0;
    PEN_CLEANUP(pen_buf_release) struct pen_buf secret = {0};
    int rc = pen_input_secret(path, what, &secret, err);
    if (rc == 0 && json_object_set_new(object, member, json_string(pen_buf_text(&secret))) < 0)
        rc = pen_fail(err, PEN_EINVAL, "the %s is not UTF-8", what);
    if (secret.data != NULL)
        explicit_bzero(secret.data, secret.size);
    return rc;
}

int pen_input_labels(const char *text, json_t **ret_labels, struct pen_error *err)
{
    json_t *labels = json_object();
    int rc = labels == NULL ? pen_fail(err, PEN_ENOMEM, "no memory for labels") : 0;
    while (rc == 0 && *text != 0) {
        size_t size = strcspn(text, ",");
        PEN_CLEANUP(pen_free) char *label = strndup(text, size);
        char *equals = label == NULL ? NULL : strchr(label, '=');
        if (equals == NULL || equals == label) {
            rc = pen_fail(err, PEN_EINVAL, "label '%.*s' is not of the form key=value", (int)size,
                          text);
            break;
        }
        *equals = 0;
        if (json_object_get(labels, label) != NULL)
            rc = pen_fail(err, PEN_EINVAL, "label '%.64s' is given twice", label);
        else if (json_object_set_new(labels, label, json_string(equals + 1)) < 0)
            rc = pen_fail(err, PEN_EINVAL, "label '%.64s' is not UTF-8", label);
        text += size + (text[size] == ',' ? 1 : 0);
    }
    if (rc == 0)
        *ret_labels = json_incref(labels);
    json_decref(labels);
    return rc;
}

int pen_input_duration(const struct pen_cli *cli, const char *option, int64_t otherwise,
                       int64_t *ret_ms, struct pen_error *err)
{
    const char *text = pen_cli_option(cli, option);
    int rc = 0;
    if (text == NULL)
        *ret_ms = otherwise;
    else
        rc = pen_duration_parse(text, ret_ms, err);
    if (rc < 0)
        pen_error_prefix(err, "%s", option);
    return rc < 0 ? PEN_EINVAL : 0;
}

int pen_input_number(const struct pen_cli *cli, const char *option, int64_t maximum,
                     int64_t otherwise, int64_t *ret_number, struct pen_error *err)
{
    const char *text = pen_cli_option(cli, option);
    int rc = 0;
    if (text == NULL)
        *ret_number = otherwise;
    else
        rc = pen_integer_parse(text, 1, maximum, ret_number, err);
    if (rc < 0)
        pen_error_prefix(err, "%s", option);
    return rc;
}

void pen_input_set(json_t *object, const char *name, const char *text)
{
    if (text != NULL)
        (void)json_object_set_new(object, name, json_string(text));
}
