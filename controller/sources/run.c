#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/base/units.h"
#include "common/blob/archive.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/wire/wire.h"
#include "controller/sources/check.h"
#include "controller/sources/state.h"

void pen_run_destroy(struct pen_run **run_p)
{
    struct pen_run *self = TAKE_PTR(*run_p);
    if (!self)
        return;
    pen_message_destroy(&self->order);
    free(self);
}

static const char *setting(const struct pen_run *run, const char *key)
{
    return pen_configuration_get(run->order->configuration, run->order->n_configuration, key);
}

static bool is_hosted(const struct pen_run *run)
{
    return pen_str_equal(run->order->provider, "CodeCommit");
}

int pen_run_add(struct pen_sources_state *self, Pen__SourceRun *order, struct pen_error *err)
{
    struct pen_run *run = calloc(1, sizeof *run);
    if (!run) {
        pen_message_destroy(&order);
        return pen_fail(err, PEN_ENOMEM, "no memory to run a source action");
    }
    run->order = order;
    struct pen_run **end = &self->runs;
    while (*end) {
        if (pen_str_equal((*end)->order->action_execution_id, order->action_execution_id)) {
            pen_run_destroy(&run); /* the core repeats itself after a restart of its own */
            return 0;
        }
        end = &(*end)->next;
    }
    *end = run;
    return 0;
}

static void run_remove(struct pen_sources_state *self, struct pen_run *run)
{
    struct pen_run **at = &self->runs;
    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    pen_run_destroy(&run);
}

void pen_runs_join(const struct pen_sources_state *self, const struct pen_mirror *mirror,
                   struct pen_refspecs *refspecs)
{
    for (const struct pen_run *at = self->runs; at; at = at->next)
        if (at->mirror == mirror && at->order->origin && at->order->origin->pull_request)
            (void)pen_refspecs_add(refspecs, at->order->origin->pull_request);
}

bool pen_runs_wait_for(const struct pen_sources_state *self, const struct pen_mirror *mirror)
{
    for (const struct pen_run *at = self->runs; at; at = at->next)
        if (at->mirror == mirror)
            return true;
    return false;
}

static int run_fail(struct pen_sources_state *self, struct pen_run *run, const char *error_code,
                    const char *sentence, struct pen_error *err)
{
    int rc = pen_report_failed(self, run->order->action_execution_id, error_code, sentence, err);
    if (rc == 0)
        run_remove(self, run);
    return rc;
}

/* ---- the artifact */

/* All of the artifact is there, and stays until the core has told of it. */
static bool is_kept(struct pen_sources_state *self, const uint8_t manifest_sha256[PEN_SHA256_SIZE])
{
    uint8_t lacking[PEN_SHA256_SIZE];
    return pen_manifest_renew(self->store, manifest_sha256, NULL, lacking, NULL) == 0;
}

static struct pen_packed *packed_find(struct pen_sources_state *self, const char *key)
{
    for (size_t i = 0; i < PEN_PACKED_MAX; i++)
        if (self->packed[i].key && strcmp(self->packed[i].key, key) == 0 &&
            is_kept(self, self->packed[i].manifest_sha256))
            return &self->packed[i];
    return NULL;
}

static int ref_fill(Pen__ArtifactRef *ref, const struct pen_packed *packed, struct pen_error *err)
{
    ref->manifest_sha256.data = malloc(PEN_SHA256_SIZE);
    if (!ref->manifest_sha256.data)
        return pen_fail(err, PEN_ENOMEM, "no memory for an artifact");
    memcpy(ref->manifest_sha256.data, packed->manifest_sha256, PEN_SHA256_SIZE);
    ref->manifest_sha256.len = PEN_SHA256_SIZE;
    ref->has_manifest_sha256 = ref->has_size = 1;
    ref->size = packed->size;
    return 0;
}

/* Pack the commit, unless that was done before and the artifact is still there. */
static int artifact_make(struct pen_sources_state *self, const char *path, const char *id,
                         Pen__ArtifactRef *ref, char **ret_left_out, struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *key = pen_strdup_printf("%s %s", path, id);
    if (!key)
        return pen_fail(err, PEN_ENOMEM, "no memory for an artifact");
    const struct pen_packed *packed = packed_find(self, key);
    if (packed && !pen_str_set(ret_left_out, packed->left_out))
        return pen_fail(err, PEN_ENOMEM, "no memory for an artifact");
    if (packed)
        return ref_fill(ref, packed, err);
    PEN_CLEANUP(pen_free) char *left_out = NULL;
    int rc = pen_git_commit_pack(path, id, self->store, ref, &left_out, err);
    if (rc < 0)
        return rc;
    if (!pen_str_set(ret_left_out, left_out))
        return pen_fail(err, PEN_ENOMEM, "no memory for an artifact");
    if (!is_kept(self, ref->manifest_sha256.data)) /* the host slept for longer than its grace */
        return pen_fail(err, PEN_EUNAVAILABLE,
                        "parts of the artifact were dropped while it was packed; try again");
    struct pen_packed *slot = &self->packed[self->packed_next];
    self->packed_next = (self->packed_next + 1) % PEN_PACKED_MAX;
    free(slot->key);
    free(slot->left_out);
    slot->key = TAKE_PTR(key);
    slot->left_out = TAKE_PTR(left_out);
    slot->size = ref->size;
    memcpy(slot->manifest_sha256, ref->manifest_sha256.data, PEN_SHA256_SIZE);
    return 0;
}

/* ---- the report */

static bool add_variable(Pen__SourceDone *done, const char *name, const char *value)
{
    Pen__NameValue **list =
        realloc(done->output_variables, (done->n_output_variables + 1) * sizeof *list);
    if (!list)
        return false;
    done->output_variables = list;
    Pen__NameValue *variable = malloc(sizeof *variable);
    if (!variable)
        return false;
    pen__name_value__init(variable);
    list[done->n_output_variables++] = variable;
    variable->name = strdup(name);
    variable->value = strdup(value ? value : "");
    return variable->name && variable->value;
}

static const char *provider_type(const struct pen_git_url *url)
{
    if (pen_str_equal(url->host, "github.com"))
        return "GitHub";
    if (pen_str_equal(url->host, "gitlab.com"))
        return "GitLab";
    if (pen_str_equal(url->host, "bitbucket.org"))
        return "Bitbucket";
    return "Git";
}

/* Where the commit was pushed: to the action's branch, or where a trigger has found it. A tag is on
 * no branch; the action's stands in, so that what refers to it goes on working. */
static bool add_origin(Pen__SourceDone *done, const struct pen_run *run)
{
    static const char branch[] = "refs/heads/";
    static const char tag[] = "refs/tags/";
    const Pen__ExecutionOrigin *origin = run->order->origin;
    const Pen__PullRequest *pull_request = origin ? origin->pull_request : NULL;
    const char *ref = origin && origin->ref_name ? origin->ref_name : "";
    if (pull_request) {
        char number[24];
        (void)snprintf(number, sizeof number, "%" PRIu64, pull_request->number);
        return add_variable(done, "SourceBranchName", pull_request->source_branch) &&
               add_variable(done, "DestinationBranchName", pull_request->destination_branch) &&
               add_variable(done, "PullRequestId", number) &&
               add_variable(done, "PullRequestTitle", pull_request->title);
    }
    if (pen_str_starts_with(ref, branch))
        return add_variable(done, "BranchName", ref + strlen(branch));
    return add_variable(done, "BranchName", setting(run, "BranchName")) &&
           (!pen_str_starts_with(ref, tag) || add_variable(done, "TagName", ref + strlen(tag)));
}

static bool add_variables(Pen__SourceDone *done, const struct pen_run *run,
                          const struct pen_git_commit *commit)
{
    char authored[PEN_TIME_TEXT_SIZE];
    char committed[PEN_TIME_TEXT_SIZE];
    pen_time_format(commit->author_ms, authored);
    pen_time_format(commit->committer_ms, committed);
    bool ok = add_variable(done, "CommitId", commit->id) &&
              add_variable(done, "CommitMessage", commit->message) && add_origin(done, run) &&
              add_variable(done, "AuthorDate", authored);
    if (is_hosted(run))
        return ok && add_variable(done, "CommitterDate", committed) &&
               add_variable(done, "RepositoryName", setting(run, "RepositoryName"));
    return ok && add_variable(done, "AuthorDisplayName", commit->author_name) &&
           add_variable(done, "AuthorEmail", commit->author_email) &&
           add_variable(done, "FullRepositoryName", setting(run, "FullRepositoryId")) &&
           add_variable(done, "ConnectionArn", setting(run, "ConnectionArn")) &&
           add_variable(done, "ProviderType", provider_type(&run->mirror->url));
}

static Pen__SourceRevision *revision_make(const struct pen_run *run,
                                          const struct pen_git_commit *commit)
{
    Pen__SourceRevision *revision = malloc(sizeof *revision);
    if (!revision)
        return NULL;
    pen__source_revision__init(revision);
    revision->action = strdup(run->order->action ? run->order->action : "");
    revision->artifact = strdup(run->order->artifact ? run->order->artifact : "");
    revision->revision_id = strdup(commit->id);
    if (commit->summary && *commit->summary)
        revision->revision_summary = strdup(commit->summary);
    /* Only the web hosts have a page for a commit. */
    if (run->mirror && run->mirror->url.scheme == PEN_GIT_HTTPS) {
        const char *base = run->mirror->url.text;
        size_t size = strlen(base) - (pen_str_ends_with(base, ".git") ? 4 : 0);
        revision->revision_url = pen_strdup_printf("%.*s/commit/%s", (int)size, base, commit->id);
    }
    revision->has_created_ms = 1;
    revision->created_ms = commit->committer_ms;
    return revision;
}

static int run_report(struct pen_sources_state *self, struct pen_run *run,
                      const struct pen_git_commit *commit, Pen__ArtifactRef **artifact,
                      char **left_out, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__SourceDone *done = malloc(sizeof *done);
    if (!done)
        return pen_fail(err, PEN_ENOMEM, "no memory for a report to the core");
    pen__source_done__init(done);
    done->has_ok = done->ok = 1;
    done->revision = revision_make(run, commit);
    bool ok = done->revision && add_variables(done, run, commit);
    if (ok && run->order->artifact)
        ok = ((*artifact)->name = strdup(run->order->artifact)) != NULL;
    if (!ok)
        return pen_fail(err, PEN_ENOMEM, "no memory for a report to the core");
    done->artifact = TAKE_PTR(*artifact);
    done->left_out = TAKE_PTR(*left_out);
    return pen_report_done(self, run->order->action_execution_id, done, err);
}

/* ---- from a repository that is there to SourceDone */

static const char *code_of(int rc)
{
    switch (rc) {
    case PEN_ENOTFOUND:
        return "RevisionUnavailable";
    case PEN_EDENIED:
    case PEN_ELIMIT:
    case PEN_EINVAL:
        return "ConfigurationError";
    default:
        return "SystemUnavailable";
    }
}

/* Where the repository is, for people. */
static const char *place_of(const struct pen_run *run)
{
    return run->mirror ? run->mirror->url.text : setting(run, "RepositoryName");
}

static int resolve(const struct pen_run *run, const char *path, char ret_id[PEN_GIT_ID_SIZE],
                   struct pen_git_commit *ret_commit, struct pen_error *err)
{
    char id[PEN_GIT_ID_SIZE];
    const char *exact = run->order->revision_id;
    int rc = 0;
    if (!pen_str_empty(exact))
        memcpy(id, exact, sizeof id); /* its form was checked */
    else
        rc = pen_git_head(path, setting(run, "BranchName"), id, err);
    if (rc < 0)
        return rc;
    struct pen_error why = {0};
    rc = pen_git_commit_read(path, id, ret_commit, &why);
    if (rc == PEN_ENOTFOUND && pen_str_empty(exact))
        return pen_fail(err, PEN_ECORRUPT, "the branch leads to a commit that is not there: %s",
                        id);
    if (rc < 0)
        return pen_fail(err, rc, "%s", why.message);
    memcpy(ret_id, id, sizeof id);
    return 0;
}

/* The commit and its artifact. */
static int read_revision(struct pen_sources_state *self, const struct pen_run *run,
                         const char *path, char ret_id[PEN_GIT_ID_SIZE],
                         struct pen_git_commit *ret_commit, Pen__ArtifactRef *artifact,
                         char **ret_left_out, struct pen_error *err)
{
    PEN_CLEANUP(pen_git_commit_release) struct pen_git_commit commit = {0};
    int rc = resolve(run, path, ret_id, &commit, err);
    if (rc == 0)
        rc = artifact_make(self, path, ret_id, artifact, ret_left_out, err);
    if (rc < 0)
        return rc;
    *ret_commit = commit;
    commit = (struct pen_git_commit){0};
    return 0;
}

/* Whether a mirror that was just read without success is damaged, also one that lacks a commit. */
static bool is_mirror_damaged(const struct pen_sources_state *self, const struct pen_run *run,
                              int rc)
{
    if (rc == PEN_ENOTFOUND && self->upkeep.mirror != run->mirror)
        rc = pen_git_check(run->mirror->path, NULL);
    return rc == PEN_ECORRUPT;
}

static int read_failed(struct pen_sources_state *self, struct pen_run *run, const char *path,
                       int code, const char *reason, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf sentence = {0};
    pen_buf_printf(&sentence, "%s, branch %s: %s", place_of(run), setting(run, "BranchName"),
                   reason);
    /* A hosted repository may be all that there is: it is never thrown away. */
    if (code == PEN_ECORRUPT && is_hosted(run))
        pen_buf_printf(
            &sentence,
            ". The repository on the controller's disk is damaged, and is left as it is: "
            "'git -C %s fsck' lists what is wrong, and pushing all branches again from "
            "a clone may mend it.",
            path);
    int rc = pen_buf_ok(&sentence, err);
    return rc < 0 ? rc : run_fail(self, run, code_of(code), pen_buf_text(&sentence), err);
}

static int run_finish(struct pen_sources_state *self, struct pen_run *run, const char *path,
                      struct pen_error *err)
{
    struct pen_error reason = {0};
    char id[PEN_GIT_ID_SIZE] = "";
    PEN_CLEANUP(pen_free) char *left_out = NULL;
    PEN_CLEANUP(pen_git_commit_release) struct pen_git_commit commit = {0};
    PEN_CLEANUP(pen_message_destroy) Pen__ArtifactRef *artifact = malloc(sizeof *artifact);
    if (!artifact)
        return pen_fail(err, PEN_ENOMEM, "no memory for an artifact");
    pen__artifact_ref__init(artifact);
    int rc = read_revision(self, run, path, id, &commit, artifact, &left_out, &reason);
    if (rc == PEN_ECORRUPT && run->mirror) /* packs may just have been merged */
        rc = read_revision(self, run, path, id, &commit, artifact, &left_out, &reason);
    if (rc < 0 && run->mirror && is_mirror_damaged(self, run, rc) &&
        pen_mirror_renew(self, run->mirror, reason.message)) {
        run->fetch = pen_mirror_want(run->mirror);
        return 0;
    }
    if (rc < 0)
        return read_failed(self, run, path, rc, reason.message, err);
    if (run->mirror)
        run->mirror->proven = true;
    rc = run_report(self, run, &commit, &artifact, &left_out, err);
    if (rc < 0)
        return rc;
    if (pen_str_empty(run->order->revision_id))
        pen_watch_learn(self, run->order, id);
    run_remove(self, run);
    return 0;
}

/* ---- beginning */

static int check_order(const struct pen_run *run, struct pen_error *err)
{
    const char *format = setting(run, "OutputArtifactFormat");
    if (format && !pen_str_equal(format, "CODE_ZIP"))
        return pen_fail(err, PEN_EUNSUPPORTED,
                        "OutputArtifactFormat '%.50s' is not supported: only CODE_ZIP is", format);
    if (pen_str_empty(setting(run, "BranchName")))
        return pen_fail(err, PEN_EINVAL, "the configuration has no BranchName");
    const char *exact = run->order->revision_id;
    if (!pen_str_empty(exact) && !pen_git_id_valid(exact))
        return pen_fail(err, PEN_EINVAL, "revision '%.100s' is no full commit id", exact);
    if (!is_hosted(run) && !pen_str_equal(run->order->provider, "CodeStarSourceConnection"))
        return pen_fail(err, PEN_EUNSUPPORTED, "source provider '%.100s' is not supported",
                        run->order->provider ? run->order->provider : "");
    return 0;
}

static int begin_hosted(struct pen_sources_state *self, struct pen_run *run, struct pen_error *err)
{
    const char *name = setting(run, "RepositoryName");
    PEN_CLEANUP(pen_free) char *path = pen_hosted_path(self, name);
    PEN_CLEANUP(pen_free)
    char *sentence = pen_strdup_printf("There is no repository '%.100s'.", name ? name : "");
    if (!sentence)
        return pen_fail(err, PEN_ENOMEM, "no memory to run a source action");
    if (!path || !pen_file_exists(path))
        return run_fail(self, run, "ConfigurationError", sentence, err);
    return run_finish(self, run, path, err);
}

static int begin_connection(struct pen_sources_state *self, struct pen_run *run,
                            struct pen_error *err)
{
    struct pen_error reason = {0};
    int rc = pen_mirror_find(self, setting(run, "ConnectionArn"), setting(run, "FullRepositoryId"),
                             &run->mirror, &reason);
    if (rc < 0)
        return run_fail(self, run, "ConfigurationError", reason.message, err);
    /* A commit never changes: one that is there needs no fetch. */
    struct pen_git_commit commit = {0};
    const char *exact = run->order->revision_id;
    bool there = !pen_str_empty(exact) && !run->mirror->fetching &&
                 pen_git_commit_read(run->mirror->path, exact, &commit, NULL) == 0;
    pen_git_commit_release(&commit);
    if (there)
        return run_finish(self, run, run->mirror->path, err);
    run->fetch = pen_mirror_want(run->mirror);
    return 0;
}

int pen_runs_begin(struct pen_sources_state *self, struct pen_error *err)
{
    int rc = 0;
    for (struct pen_run *at = self->runs, *next; rc == 0 && at; at = next) {
        next = at->next;
        if (at->begun)
            continue;
        at->begun = true;
        struct pen_error reason = {0};
        if (check_order(at, &reason) < 0)
            rc = run_fail(self, at, "ConfigurationError", reason.message, err);
        else if (is_hosted(at))
            rc = begin_hosted(self, at, err);
        else
            rc = begin_connection(self, at, err);
    }
    return rc;
}

int pen_runs_mirror(struct pen_sources_state *self, struct pen_mirror *mirror, uint64_t fetch,
                    const char *error_code, const char *sentence, struct pen_error *err)
{
    int rc = 0;
    for (struct pen_run *at = self->runs, *next; rc == 0 && at; at = next) {
        next = at->next;
        if (at->mirror != mirror || at->fetch > fetch)
            continue;
        rc = error_code ? run_fail(self, at, error_code, sentence, err)
                        : run_finish(self, at, mirror->path, err);
    }
    return rc;
}

int pen_run_cancel(struct pen_sources_state *self, const char *action_execution_id,
                   struct pen_error *err)
{
    struct pen_run *run = self->runs;
    while (run && !pen_str_equal(run->order->action_execution_id, action_execution_id))
        run = run->next;
    if (!run)
        return 0; /* it has ended before */
    struct pen_mirror *mirror = run->mirror;
    int rc = run_fail(self, run, "JobFailed", "The source action was cancelled.", err);
    if (rc < 0 || !mirror || !mirror->fetching || pen_runs_wait_for(self, mirror))
        return rc;
    mirror->unwanted = true;
    mirror->deadline_ms = pen_clock_monotonic_ms() + PEN_FETCH_GRACE_MS;
    pen_git_child_kill(&mirror->fetch.child, SIGTERM);
    return 0;
}
