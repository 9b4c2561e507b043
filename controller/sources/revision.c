#include "controller/sources/revision.h"

#include <errno.h>
#include <git2.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "controller/sources/git2_internal.h"

enum {
    MESSAGE_SIZE_MAX = 4096,
    SUMMARY_SIZE_MAX = 1024,
    OPEN_PACKS_MAX = 32, /* descriptors of packs at one time, however many packs there are */
};

static const int64_t time_min_s = INT64_C(-62135596800); /* 0001-01-01T00:00:00Z */
static const int64_t time_max_s = INT64_C(253402300799); /* 9999-12-31T23:59:59Z */

/* What the system has refused is not the repository's fault, but for a disk that cannot be read.
 * libgit2 keeps no errno, only its text. */
static int code_of_system(const char *message)
{
    static const struct {
        int number;
        int code;
    } table[] = {
        {EMFILE, PEN_EUNAVAILABLE}, {ENFILE, PEN_EUNAVAILABLE}, {ENOMEM, PEN_ENOMEM},
        {ENOSPC, PEN_ENOSPACE},     {EDQUOT, PEN_ENOSPACE},     {EIO, PEN_ECORRUPT},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[128];
        if (strstr(message, strerror_r(table[i].number, text, sizeof text)))
            return table[i].code;
    }
    return PEN_EIO;
}

int pen_git_fail(struct pen_error *err, int code, const char *what, const char *path)
{
    const git_error *error = git_error_last();
    const char *message = error && error->message ? error->message : "libgit2 gives no reason";
    if (error && error->klass == GIT_ERROR_OS)
        code = code_of_system(message);
    else if (error && error->klass == GIT_ERROR_NOMEMORY)
        code = PEN_ENOMEM;
    return pen_fail(err, code, "%s %s: %s", what, path, message);
}

int pen_git_library_start(struct pen_error *err)
{
    if (git_libgit2_init() < 0)
        return pen_git_fail(err, PEN_EIO, "libgit2", "");
    static const int levels[] = {GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
                                 GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "") < 0)
            return pen_git_fail(err, PEN_EIO, "libgit2", "");
    if (git_libgit2_opts(GIT_OPT_SET_MWINDOW_FILE_LIMIT, (size_t)OPEN_PACKS_MAX) < 0)
        return pen_git_fail(err, PEN_EIO, "libgit2", "");
    return 0;
}

void pen_git_library_stop(void)
{
    (void)git_libgit2_shutdown();
}

int pen_git_open(const char *path, git_repository **ret_repository, struct pen_error *err)
{
    int result = git_repository_open_ext(
        ret_repository, path, GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_BARE, NULL);
    if (result == GIT_ENOTFOUND)
        return pen_git_fail(err, pen_file_exists(path) ? PEN_ECORRUPT : PEN_ENOTFOUND, "repository",
                            path);
    if (result == GIT_EOWNER)
        return pen_fail(err, PEN_EDENIED, "repository %s belongs to another user", path);
    return result < 0 ? pen_git_fail(err, PEN_ECORRUPT, "repository", path) : 0;
}

int pen_git_make_bare(const char *path, struct pen_error *err)
{
    PEN_CLEANUP(pen_git_repository_release) git_repository *repository = NULL;
    git_repository_init_options options;
    (void)git_repository_init_options_init(&options, GIT_REPOSITORY_INIT_OPTIONS_VERSION);
    options.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH;
    options.initial_head = "main";
    if (git_repository_init_ext(&repository, path, &options) < 0)
        return pen_git_fail(err, PEN_ECORRUPT, "cannot make repository", path);
    return 0;
}

int pen_git_ref_id(const char *path, const char *name, char ret_id[PEN_GIT_ID_SIZE],
                   struct pen_error *err)
{
    PEN_CLEANUP(pen_git_repository_release) git_repository *repository = NULL;
    int rc = pen_git_open(path, &repository, err);
    if (rc < 0)
        return rc;
    git_oid id;
    int result = git_reference_name_to_id(&id, repository, name);
    if (result == GIT_ENOTFOUND || result == GIT_EINVALIDSPEC)
        return pen_fail(err, PEN_ENOTFOUND, "no ref '%s'", name);
    if (result < 0)
        return pen_git_fail(err, PEN_ECORRUPT, "ref", name);
    (void)git_oid_tostr(ret_id, PEN_GIT_ID_SIZE, &id);
    return 0;
}

int pen_git_head(const char *path, const char *branch, char ret_id[PEN_GIT_ID_SIZE],
                 struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *name = pen_strdup_printf("refs/heads/%s", branch);
    if (!name)
        return pen_fail(err, PEN_ENOMEM, "no memory for a branch name");
    struct pen_error reason = {0};
    int rc = pen_git_ref_id(path, name, ret_id, &reason);
    if (rc == PEN_ENOTFOUND && pen_str_starts_with(reason.message, "no ref"))
        return pen_fail(err, rc, "no branch '%s'", branch);
    return rc < 0 ? pen_fail(err, rc, "%s", reason.message) : 0;
}

/* ---- texts */

enum { SEQUENCE_MAX = 4 };

/* Bytes of the well-formed sequence at text, 0 when there is none. */
static size_t sequence_size(const char *text, size_t size)
{
    for (size_t length = 1; length <= SEQUENCE_MAX && length <= size; length++)
        if (pen_utf8_valid(text, length))
            return length;
    return 0;
}

/* As it is, with '?' for each byte that is no UTF-8. */
static void append_checked(struct pen_buf *out, const char *text, size_t size)
{
    while (size > 0) {
        size_t length = sequence_size(text, size);
        if (length > 0)
            pen_buf_append(out, text, length);
        else
            pen_buf_putc(out, '?');
        length = length > 0 ? length : 1;
        text += length;
        size -= length;
    }
}

bool pen_git_recode(const char *to, const char *from, const char *text, size_t size,
                    struct pen_buf *out)
{
    iconv_t converter = iconv_open(to, from);
    if (converter == (iconv_t)-1) /* NOLINT: its own idea of an error */
        return false;
    PEN_CLEANUP(pen_buf_release) struct pen_buf recoded = {0};
    char *in = (char *)(uintptr_t)text;
    size_t result;
    bool flushed = false;
    do {
        char bytes[1024];
        char *at = bytes;
        size_t room = sizeof bytes;
        flushed = size == 0;
        result = iconv(converter, flushed ? NULL : &in, flushed ? NULL : &size, &at, &room);
        pen_buf_append(&recoded, bytes, sizeof bytes - room);
    } while (result == (size_t)-1 ? errno == E2BIG : !flushed);
    (void)iconv_close(converter);
    if (result == (size_t)-1 || recoded.failed)
        return false;
    pen_buf_append(out, recoded.data, recoded.size);
    return true;
}

/* False: the encoding is not known, or the text is not in it. */
static bool append_recoded(struct pen_buf *out, const char *text, size_t size, const char *encoding)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf recoded = {0};
    if (!pen_git_recode("UTF-8", encoding, text, size, &recoded) ||
        !pen_utf8_valid(pen_buf_text(&recoded), recoded.size))
        return false;
    pen_buf_append(out, recoded.data, recoded.size);
    return true;
}

/* Each byte is the character of its number. What C libraries know without their modules does not
 * hold this one everywhere. */
static void append_latin1(struct pen_buf *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x80) {
            pen_buf_putc(out, (char)c);
            continue;
        }
        pen_buf_putc(out, (char)(0xc0 | (c >> 6)));
        pen_buf_putc(out, (char)(0x80 | (c & 0x3f)));
    }
}

static bool is_one_of(const char *encoding, const char *const *names)
{
    for (; *names; names++)
        if (strcasecmp(encoding, *names) == 0)
            return true;
    return false;
}

char *pen_git_text_of(const char *text, const char *encoding, size_t size_max)
{
    static const char *const utf8[] = {"UTF-8", "UTF8", "US-ASCII", "ASCII", "", NULL};
    static const char *const latin1[] = {"ISO-8859-1", "ISO8859-1", "ISO_8859-1", "latin1",
                                         "latin-1",    "8859-1",    NULL};
    PEN_CLEANUP(pen_buf_release) struct pen_buf out = {0};
    size_t size = text ? strlen(text) : 0;
    if (!encoding || is_one_of(encoding, utf8))
        append_checked(&out, text, size);
    else if (is_one_of(encoding, latin1))
        append_latin1(&out, text, size);
    else if (strpbrk(encoding, "/,") || !append_recoded(&out, text, size, encoding))
        append_checked(&out, text, size);
    size = out.size;
    if (size > size_max)
        for (size = size_max; size > 0 && (out.data[size] & 0xc0) == 0x80;)
            size--;
    return out.failed ? NULL : strndup(pen_buf_text(&out), size);
}

char *pen_git_text(const char *text, size_t size_max)
{
    return pen_git_text_of(text, NULL, size_max);
}

int pen_git_commit_find(git_repository *repository, const char *id, git_commit **ret_commit,
                        struct pen_error *err)
{
    git_oid oid;
    int result = git_oid_fromstr(&oid, id);
    if (result == 0)
        result = git_commit_lookup(ret_commit, repository, &oid);
    if (result == GIT_ENOTFOUND)
        return pen_fail(err, PEN_ENOTFOUND, "no commit %s", id);
    return result < 0 ? pen_git_fail(err, PEN_ECORRUPT, "commit", id) : 0;
}

/* A commit has any number for its time. */
static int64_t ms_of(const git_signature *signature)
{
    int64_t seconds = signature->when.time;
    if (seconds < time_min_s || seconds > time_max_s)
        seconds = seconds < time_min_s ? time_min_s : time_max_s;
    return seconds * 1000;
}

int pen_git_commit_read(const char *path, const char *id, struct pen_git_commit *ret_commit,
                        struct pen_error *err)
{
    PEN_CLEANUP(pen_git_repository_release) git_repository *repository = NULL;
    PEN_CLEANUP(pen_git_commit_free) git_commit *commit = NULL;
    int rc = pen_git_open(path, &repository, err);
    if (rc < 0 || (rc = pen_git_commit_find(repository, id, &commit, err)) < 0)
        return rc;
    const git_signature *author = git_commit_author(commit);
    const char *encoding = git_commit_message_encoding(commit); /* of all its texts */
    struct pen_git_commit found = {
        .message = pen_git_text_of(git_commit_message(commit), encoding, MESSAGE_SIZE_MAX),
        .summary = pen_git_text_of(git_commit_summary(commit), encoding, SUMMARY_SIZE_MAX),
        .author_name = pen_git_text_of(author->name, encoding, SUMMARY_SIZE_MAX),
        .author_email = pen_git_text_of(author->email, encoding, SUMMARY_SIZE_MAX),
        .author_ms = ms_of(author),
        .committer_ms = ms_of(git_commit_committer(commit)),
    };
    memcpy(found.id, id, PEN_GIT_ID_SIZE);
    if (!found.message || !found.summary || !found.author_name || !found.author_email) {
        pen_git_commit_release(&found);
        return pen_fail(err, PEN_ENOMEM, "no memory for a commit");
    }
    *ret_commit = found;
    return 0;
}

void pen_git_commit_release(struct pen_git_commit *self)
{
    free(self->message);
    free(self->summary);
    free(self->author_name);
    free(self->author_email);
    *self = (struct pen_git_commit){0};
}
