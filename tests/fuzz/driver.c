/* Runs a fuzz target without libFuzzer: every file of a corpus, then mutations of them.
 *
 *     fuzz_x FOLDER [MUTATIONS [SEED]]
 *
 * The same seed makes the same mutations. A failure says which file, mutation and seed.
 */
#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/io/file.h"

enum { FILE_BYTES_MAX = 2 * 1024 * 1024, EDITS_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where we are, told when the target or a sanitizer ends the program. */
static char place[512];

static void tell_place(void)
{
    (void)!write(STDERR_FILENO, place, strlen(place));
    (void)!write(STDERR_FILENO, "\n", 1);
}

static void on_abort(int number)
{
    (void)number;
    tell_place();
}

/* Only there in a sanitized build. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = *state;
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

static void mutate(struct pen_buf *bytes, uint64_t *state)
{
    size_t edits = 1 + next_random(state) % EDITS_MAX;
    for (size_t i = 0; i < edits && bytes->size > 0; i++) {
        size_t at = next_random(state) % bytes->size;
        switch (next_random(state) % 4) {
        case 0: /* one bit */
            bytes->data[at] = (uint8_t)(bytes->data[at] ^ 1u << next_random(state) % 8);
            break;
        case 1: /* one byte, mostly a telling one */
            bytes->data[at] = (uint8_t)(next_random(state) % 2 ? 0xff : next_random(state));
            break;
        case 2: /* cut off */
            bytes->size = at;
            break;
        default: /* twice over */
            if (bytes->size < FILE_BYTES_MAX / 2) {
                size_t length = bytes->size - at;
                uint8_t *copy = malloc(length + 1);
                if (copy == NULL)
                    abort();
                memcpy(copy, bytes->data + at, length);
                pen_buf_append(bytes, copy, length);
                free(copy);
            }
            break;
        }
    }
}

/* A copy of exactly this size, so that a sanitizer sees a read behind its end. */
static void try(const struct pen_buf *bytes)
{
    uint8_t *exact = malloc(bytes->size + (bytes->size == 0));
    if (exact == NULL)
        abort();
    if (bytes->size > 0)
        memcpy(exact, bytes->data, bytes->size);
    (void)LLVMFuzzerTestOneInput(exact, bytes->size);
    free(exact);
}

static int run_file(const char *path, unsigned mutations, uint64_t seed)
{
    struct pen_error err;
    struct pen_buf bytes = {0};
    if (pen_file_read(path, FILE_BYTES_MAX, &bytes, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.message);
        pen_buf_release(&bytes);
        return -1;
    }
    (void)snprintf(place, sizeof place, "%.400s", path);
    try(&bytes);
    uint64_t state = seed;
    for (unsigned i = 0; i < mutations; i++) {
        (void)snprintf(place, sizeof place, "%.400s mutation %u seed %" PRIu64, path, i, seed);
        struct pen_buf copy = {0};
        pen_buf_append(&copy, bytes.data, bytes.size);
        mutate(&copy, &state);
        try(&copy);
        pen_buf_release(&copy);
    }
    pen_buf_release(&bytes);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s FOLDER [MUTATIONS [SEED]]\n", argv[0]);
        return 2;
    }
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(tell_place);
    (void)signal(SIGABRT, on_abort);
    unsigned mutations = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    struct dirent **entries = NULL;
    int count = scandir(argv[1], &entries, NULL, alphasort);
    int files = 0;
    for (int i = 0; i < count; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && run_file(path, mutations, seed) == 0)
            files++;
        free(entries[i]);
    }
    free(entries);
    (void)printf("%s: %d files, %u mutations of each, seed %" PRIu64 "\n", argv[1], files,
                 mutations, seed);
    return files > 0 ? 0 : 1;
}
