/* tests/sim/disk.h - the disk of a host: the files under the agent's real journal
 *
 * agent/spool/journal.c runs unchanged; its calls of open, pread, pwrite, fdatasync and the like
 * end here (the linker's --wrap). Written bytes are seen at once and survive the end of the
 * process. What was not synced survives the loss of power sector by sector, or not.
 */
#ifndef PEN_TESTS_SIM_DISK_H
#define PEN_TESTS_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISK_FILES = 3, DISK_SECTOR = 512 };

struct disk_file {
    uint8_t *bytes;
    size_t size;
};

/* A write that was not synced: what was there before. */
struct disk_write {
    int file;
    size_t offset, size;
    uint8_t *before;
};

struct disk {
    struct disk_file files[DISK_FILES];
    struct disk_write *writes;
    size_t writes_count, writes_room;
    bool full;         /* files cannot grow */
    bool limited;      /* only write_left bytes more can be written: then the writer is dead, */
    size_t write_left; /* or the disk is broken */
    bool fails_sync;   /* the next sync fails */
};

struct sim;

/* Journals opened from now on are on the disks of this installation. */
void disk_attach(struct sim *sim);
void disk_clear(struct disk *self);
/* What would be there after a loss of power that takes everything unsynced. */
void disk_copy(struct disk *self, const struct disk *from);
/* Each sector keeps a prefix of its unsynced writes; `chance` decides which. */
void disk_lose_power(struct disk *self, uint64_t chance);

#endif
