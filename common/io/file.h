/* common/io/file.h - files that survive a crash, descriptors that children do not inherit */
#ifndef PEN_COMMON_IO_FILE_H
#define PEN_COMMON_IO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/error.h"

/* For PEN_CLEANUP: close if >= 0, set to -1. */
void pen_fd_close(int *fd);

/* open(2) with O_CLOEXEC. Errors: PEN_ENOTFOUND, PEN_EDENIED, PEN_ENOSPACE, PEN_EIO. */
int pen_file_open(const char *path, int flags, mode_t mode, int *ret_fd, struct pen_error *err);

/* Read a whole file of at most size_max bytes. Errors: as open, PEN_ELIMIT. */
int pen_file_read(const char *path, size_t size_max, struct pen_buf *ret_bytes,
                  struct pen_error *err);

/* Replace path by these bytes so that after a crash either the old or the new content is there:
 * temporary file, write, fsync, rename, fsync of the folder. */
int pen_file_replace(const char *path, const void *bytes, size_t size, mode_t mode,
                     struct pen_error *err);

/* As pen_file_replace without any sync: for files under /run that need not survive the host. */
int pen_file_replace_unsynced(const char *path, const void *bytes, size_t size, mode_t mode,
                              struct pen_error *err);

/* Write all bytes, through EINTR and short writes. */
int pen_file_write_all(int fd, const void *bytes, size_t size, struct pen_error *err);

/* fsync the folder at path. */
int pen_dir_sync(const char *path, struct pen_error *err);

/* Make the folder and its missing parents with mode; fine when it exists as a folder. */
int pen_dir_make(const char *path, mode_t mode, struct pen_error *err);

/* Make the folder as pen_dir_make does, for the things of one program. One that is there already
 * has to hold nothing but names from `known` (ends with NULL), unless it holds `mark`: what lies in
 * somebody's clone or home would be mixed with keys. Errors: PEN_EINVAL (names what is in the way),
 * as pen_dir_make. */
int pen_dir_claim(const char *path, mode_t mode, const char *mark, const char *const *known,
                  struct pen_error *err);

/* Remove a folder and everything in it without following symbolic links; fine when missing. What
 * modes and chattr forbid is lifted where our rights allow it. */
int pen_dir_remove_tree(const char *path, struct pen_error *err);

/* The same, but the folder itself stays. Errors: PEN_ENOTFOUND, PEN_EIO. */
int pen_dir_empty(const char *path, struct pen_error *err);

bool pen_file_exists(const char *path);

#endif
