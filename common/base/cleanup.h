/* common/base/cleanup.h - release on every return
 *
 *     PEN_CLEANUP(blob_destroy) struct blob *blob = NULL;
 *     int rc = blob_open(path, &blob, err);
 *     if (rc < 0)
 *         return rc;                  // nothing to undo by hand
 *     *ret_blob = TAKE_PTR(blob);     // handed over: nothing left to free
 *
 * A destructor `void x_destroy(struct x **)` sets its pointer to NULL and accepts NULL.
 */
#ifndef PEN_COMMON_BASE_CLEANUP_H
#define PEN_COMMON_BASE_CLEANUP_H

#include <stddef.h>

#define PEN_CLEANUP(destructor) __attribute__((cleanup(destructor)))

/* The value of `pointer`, which becomes NULL. */
#define TAKE_PTR(pointer)                                                                          \
    ({                                                                                             \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

/* For PEN_CLEANUP on memory from malloc: PEN_CLEANUP(pen_free) char *text = NULL; */
void pen_free(void *pointer_to_pointer);

#endif
