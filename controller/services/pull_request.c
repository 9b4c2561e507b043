#include "controller/services/pull_request.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/limits.h"
#include "common/base/str.h"

enum { COMMIT_ID_SIZE = 40 };

/* ---- members */

static const json_t *member(const json_t *object, const char *first, const char *second)
{
    return json_object_get(json_object_get(object, first), second);
}

static int wrong(struct pen_error *err, const char *what)
{
    return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                        "%s is missing, or not of the right kind or size", what);
}

static int take_text(const json_t *value, const char *what, size_t size_max, char **ret_text,
                     struct pen_error *err)
{
    size_t size = json_is_string(value) ? json_string_length(value) : 0;
    if (size == 0 || size > size_max || strlen(json_string_value(value)) != size)
        return wrong(err, what);
    if (!pen_str_set(ret_text, json_string_value(value)))
        return pen_fail(err, PEN_ENOMEM, "no memory for a pull request");
    return 0;
}

/* Below refs/heads; nothing that git or a log would take for something else. */
static int take_branch(const json_t *value, const char *what, char **ret_text,
                       struct pen_error *err)
{
    int rc = take_text(value, what, PEN_PULL_REQUEST_BRANCH_MAX, ret_text, err);
    if (rc < 0)
        return rc;
    const char *name = *ret_text;
    bool good = *name != '-' && *name != '/' && strstr(name, "..") == NULL &&
                strstr(name, "//") == NULL && strpbrk(name, " ~^:?*[\\") == NULL;
    for (const char *at = name; *at != '\0'; at++)
        good = good && (unsigned char)*at >= ' ' && *at != 0x7f;
    return good ? 0 : wrong(err, what);
}

/* Cut at a character's end; control characters become blanks. */
static int take_title(const json_t *value, char **ret_text, struct pen_error *err)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    size_t size = strnlen(text, PEN_PULL_REQUEST_TITLE_MAX);
    while (text[size] != '\0' && size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
        size--;
    char *title = strndup(text, size);
    if (title == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a pull request");
    for (char *at = title; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
    free(*ret_text);
    *ret_text = title;
    return 0;
}

static int take_number(const json_t *value, const char *what, Pen__PullRequest *pull_request,
                       struct pen_error *err)
{
    if (!json_is_integer(value) || json_integer_value(value) < 1)
        return wrong(err, what);
    pull_request->has_number = true;
    pull_request->number = (uint64_t)json_integer_value(value);
    return 0;
}

/* The server's word for the head, when it is one: nothing depends on it but when to look again. */
static int take_head(const json_t *value, char **ret_text, struct pen_error *err)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    if (strlen(text) != COMMIT_ID_SIZE || strspn(text, "0123456789abcdef") != COMMIT_ID_SIZE)
        return 0;
    return pen_str_set(ret_text, text) ? 0 : pen_fail(err, PEN_ENOMEM, "no memory for a head");
}

/* ---- what has happened */

static int change_of(const json_t *action, const json_t *commits_before, bool gitlab)
{
    static const struct {
        const char *word;
        Pen__PullRequestChange change;
    } words[] = {
        {"opened", PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_OPEN},
        {"open", PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_OPEN},
        {"reopened", PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_OPEN},
        {"reopen", PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_OPEN},
        {"synchronize", PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_UPDATED},
        {"synchronized", PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_UPDATED},
        {"update", PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_UPDATED},
        {"closed", PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_CLOSED},
        {"close", PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_CLOSED},
        {"merge", PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_CLOSED},
    };
    const char *word = json_is_string(action) ? json_string_value(action) : "";
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].word, word) != 0)
            continue;
        /* GitLab also says "update" for labels and titles; with new commits it tells the old one.
         */
        bool updated = words[i].change == PEN__PULL_REQUEST_CHANGE__PULL_REQUEST_UPDATED;
        return gitlab && updated && !json_is_string(commits_before) ? 0 : (int)words[i].change;
    }
    return 0;
}

static int read_github(const json_t *body, Pen__PullRequestNotified *notified,
                       struct pen_error *err)
{
    const json_t *about = json_object_get(body, "pull_request");
    const json_t *head = json_object_get(about, "head");
    const json_t *base = json_object_get(about, "base");
    Pen__PullRequest *pull_request = notified->pull_request;
    int change = change_of(json_object_get(body, "action"), NULL, false);
    if (change == 0)
        return 0;
    pull_request->has_change = true;
    pull_request->change = (Pen__PullRequestChange)change;
    int rc = take_text(member(body, "repository", "full_name"), "repository.full_name",
                       PEN_PULL_REQUEST_REPOSITORY_MAX, &notified->repository, err);
    if (rc < 0 ||
        (rc = take_number(json_object_get(about, "number"), "pull_request.number", pull_request,
                          err)) < 0 ||
        (rc = take_branch(json_object_get(base, "ref"), "pull_request.base.ref",
                          &pull_request->destination_branch, err)) < 0)
        return rc;
    /* A fork that is gone is still a fork: no name is not the same name. */
    const json_t *of_head = member(head, "repo", "full_name");
    if (!json_is_string(of_head) || strcmp(json_string_value(of_head), notified->repository) != 0)
        return 0;
    if ((rc = take_branch(json_object_get(head, "ref"), "pull_request.head.ref",
                          &pull_request->source_branch, err)) < 0 ||
        (rc = take_title(json_object_get(about, "title"), &pull_request->title, err)) < 0 ||
        (rc = take_head(json_object_get(head, "sha"), &pull_request->told_head, err)) < 0)
        return rc;
    return 1;
}

static int read_gitlab(const json_t *body, Pen__PullRequestNotified *notified,
                       struct pen_error *err)
{
    const json_t *about = json_object_get(body, "object_attributes");
    Pen__PullRequest *pull_request = notified->pull_request;
    int change =
        change_of(json_object_get(about, "action"), json_object_get(about, "oldrev"), true);
    if (change == 0)
        return 0;
    pull_request->has_change = true;
    pull_request->change = (Pen__PullRequestChange)change;
    pull_request->has_merge_request = true;
    pull_request->merge_request = true;
    int rc =
        take_text(member(body, "project", "path_with_namespace"), "project.path_with_namespace",
                  PEN_PULL_REQUEST_REPOSITORY_MAX, &notified->repository, err);
    if (rc < 0 ||
        (rc = take_number(json_object_get(about, "iid"), "object_attributes.iid", pull_request,
                          err)) < 0 ||
        (rc =
             take_branch(json_object_get(about, "target_branch"), "object_attributes.target_branch",
                         &pull_request->destination_branch, err)) < 0)
        return rc;
    const json_t *from = json_object_get(about, "source_project_id");
    const json_t *to = json_object_get(about, "target_project_id");
    if (!json_is_integer(from) || !json_is_integer(to) || !json_equal(from, to))
        return 0;
    if ((rc = take_branch(json_object_get(about, "source_branch"),
                          "object_attributes.source_branch", &pull_request->source_branch, err)) <
            0 ||
        (rc = take_title(json_object_get(about, "title"), &pull_request->title, err)) < 0 ||
        (rc = take_head(member(about, "last_commit", "id"), &pull_request->told_head, err)) < 0)
        return rc;
    return 1;
}

int pen_pull_request_read(enum pen_git_server server, const json_t *body,
                          Pen__PullRequestNotified *ret_notified, struct pen_error *err)
{
    Pen__PullRequest *pull_request = malloc(sizeof *pull_request);
    if (pull_request == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a pull request");
    pen__pull_request__init(pull_request);
    ret_notified->pull_request = pull_request;
    return server == PEN_GIT_SERVER_GITLAB ? read_gitlab(body, ret_notified, err)
                                           : read_github(body, ret_notified, err);
}
