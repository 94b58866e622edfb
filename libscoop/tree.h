/* The functions of libscoop's own that run on workers for scoop_map_reduce() and scoop_map_scan().
 * They are registered in every program that uses these calls; C has no names with a dot in it, so
 * they meet no user's. Their arguments are packed by tree_pack():
 *
 *     struct head | elements | name of the map function | name of the reducer
 *
 * in the byte order of the machine: it is the same program on both sides. */
#ifndef LIBSCOOP_TREE_H
#define LIBSCOOP_TREE_H

#include "base/err.h"
#include "libscoop/include/scoop.h"

/* One call of one of them. Borrowed: the elements. */
struct tree_call {
    const struct scoop_function *map;     /* NULL: the elements are values as they are */
    const struct scoop_function *combine; /* of two values to one */
    const uint8_t *elements;
    size_t count;
    size_t leaf;                   /* so many elements or fewer are not split */
    struct scoop_options children; /* of the tasks that a task splits off */
};

/* The bytes of one element, and of one value. */
size_t tree_element_bytes(const struct tree_call *call);
size_t tree_value_bytes(const struct tree_call *call);

/* The most elements that one call takes, 2 at least. */
size_t tree_elements_max(const struct tree_call *call);

/* The argument of a call, with one more element in front of the others (NULL: without). out->data is
 * owned by the caller: free(). -ENOMEM. */
NODISCARD int tree_pack(const struct tree_call *call, const void *first, struct scoop_bytes *out);

/* All elements combined: one value. Splits what is more than a leaf into halves, which are tasks of
 * their own. */
extern struct scoop_function tree_reduce;

/* Every running sum of the elements: `count` values. */
extern struct scoop_function tree_scan;

/* The first element combined with each of the others: count - 1 values. */
extern struct scoop_function tree_shift;

#endif
