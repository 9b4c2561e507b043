/* What the command shell says, by files in a folder of its own: the command that runs, the output
 * variables. All of it is in reach of the commands: nothing here waits for, or follows, what they
 * may have put in the place of a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shim/shim_internal.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"

static const char turn[] = "turn";
static const char variables[] = "variables";

enum { NUMBER_MAX = 16, NAME_MAX_BYTES = 64 };

static int open_turn(const struct shim_shell *self)
{
    return openat(self->folder_fd, turn, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
}

int shim_shell_open(struct shim_shell *self, const char *folder, struct pen_error *err)
{
    if (folder == NULL)
        return 0;
    int rc = pen_dir_make(folder, 0700, err);
    if (rc == 0)
        rc = pen_file_open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &self->folder_fd, err);
    if (rc < 0)
        return rc;
    if (mkfifoat(self->folder_fd, turn, 0600) < 0 || (self->turn_fd = open_turn(self)) < 0)
        return pen_fail_errno(err, "cannot make '%s/%s'", folder, turn);
    return 0;
}

bool shim_shell_look(struct shim_shell *self)
{
    if (self->folder_fd < 0)
        return false;
    /* A FIFO that was opened and closed once says so until it is opened anew, which comes before
     * looking: what is said meanwhile wakes us again. */
    int fd = open_turn(self);
    pen_fd_close(&self->turn_fd);
    self->turn_fd = fd;
    uint32_t before = self->command_index;
    while (self->command_index < PEN_SHIM_STEPS_MAX) {
        char name[NUMBER_MAX];
        (void)snprintf(name, sizeof name, "%u", self->command_index + 1);
        if (faccessat(self->folder_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
            break;
        self->command_index++;
    }
    return self->command_index != before;
}

bool shim_shell_variables(const struct shim_shell *self, struct pen_buf *ret_bytes)
{
    struct stat facts;
    PEN_CLEANUP(pen_fd_close)
    int fd = self->folder_fd < 0 ? -1
                                 : openat(self->folder_fd, variables,
                                          O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &facts) < 0 || !S_ISREG(facts.st_mode))
        return false;
    size_t size =
        facts.st_size > PEN_SHIM_VARIABLES_MAX ? PEN_SHIM_VARIABLES_MAX : (size_t)facts.st_size;
    PEN_CLEANUP(pen_free) uint8_t *bytes = malloc(size + 1);
    size_t used = 0;
    while (bytes != NULL && used < size) {
        ssize_t got = read(fd, bytes + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        used += (size_t)got;
    }
    if (bytes == NULL)
        return false;
    pen_buf_append(ret_bytes, bytes, used);
    return pen_buf_ok(ret_bytes, NULL) == 0;
}

/* ---- the other end, as a program that the shell starts */

int pen_shim_variables(const char *folder, char *const *names)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    for (size_t i = 0; names[i] != NULL; i++) {
        char name[NAME_MAX_BYTES];
        (void)snprintf(name, sizeof name, "PENSTOCK_VALUE_%zu", i);
        const char *value = getenv(name);
        if (*names[i] == 0 || value == NULL)
            continue;
        pen_buf_printf(&text, "%s=%s", names[i], value);
        pen_buf_putc(&text, 0);
    }
    PEN_CLEANUP(pen_free) char *path = pen_strdup_printf("%s/%s", folder, variables);
    return path != NULL && pen_buf_ok(&text, NULL) == 0 &&
                   pen_file_replace_unsynced(path, text.data, text.size, 0600, NULL) == 0
               ? 0
               : 1;
}
