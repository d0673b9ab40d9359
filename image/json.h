// SPDX-License-Identifier: LGPL-2.1-or-later
// Members of JSON objects: making them, and reading them with every check that a hostile file asks for.
//
// Readers give ERR_CORRUPT that names the member ("member 'nice' is 90, not -20..19"); callers wrap it with where the object
// stands (json_at). A member that is null is one that is not there. Text that need not be UTF-8 (paths) is an object
// {"base64": "..."} when it is none. 64-bit masks are strings ("0x7fff..."), for JSON integers end at 2^63 - 1.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/error.h"
#include "util/types.h"

static const int64_t JSON_ADDR_MAX = 0x7ffffffff000; // end of user memory, 47 bits

// RFC 4648 with padding and without line breaks. The text is NUL-terminated and the caller's to free; NULL: no memory.
char *base64_encode(const void *data, size_t len);
// *len comes back; at most `max` bytes. False: no base64, or longer. An empty text gives a block too. *ret NULL after false
// with errno ENOMEM: no memory.
bool base64_decode(const char *text, size_t text_len, size_t max, uint8_t **ret,
		   size_t *len);

// Making. A value that could not be made (NULL) is out of memory; `value` is taken over in any case.
struct err *json_put(json_t *object, const char *name, json_t *value) must_check;
struct err *json_add(json_t *array, json_t *value) must_check; // appends
struct err *json_put_int(json_t *object, const char *name, int64_t value) must_check;
struct err *json_put_bool(json_t *object, const char *name, bool value) must_check;
struct err *json_put_mask(json_t *object, const char *name, uint64_t value) must_check;
struct err *json_put_bytes(json_t *object, const char *name, const void *data, size_t len)
	must_check;
// UTF-8 or not.
struct err *json_put_text(json_t *object, const char *name, const char *text) must_check;
// Puts an empty object or array and gives it (borrowed).
struct err *json_put_object(json_t *object, const char *name, json_t **ret) must_check;
struct err *json_put_array(json_t *object, const char *name, json_t **ret) must_check;
// Appends an empty object and gives it (borrowed).
struct err *json_add_object(json_t *array, json_t **ret) must_check;

// Reading. `object` NULL or no object: corrupt, too.
bool json_has(const json_t *object, const char *name); // there and not null
struct err *json_get_int(const json_t *object, const char *name, int64_t min, int64_t max,
			 int64_t *ret) must_check;
// Same, in an int; min and max must fit.
struct err *json_get_i32(const json_t *object, const char *name, int min, int max,
			 int *ret) must_check;
struct err *json_get_u64(const json_t *object, const char *name, uint64_t max,
			 uint64_t *ret) must_check; // max <= INT64_MAX
struct err *json_get_addr(const json_t *object, const char *name, taddr_t *ret)
	must_check; // 0..JSON_ADDR_MAX
struct err *json_get_pid(const json_t *object, const char *name, pid_t *ret)
	must_check; // 1..4194304
struct err *json_get_bool(const json_t *object, const char *name, bool *ret) must_check;
struct err *json_get_mask(const json_t *object, const char *name, uint64_t *ret)
	must_check;
// Borrowed; without NUL bytes inside.
struct err *json_get_string(const json_t *object, const char *name, const char **ret)
	must_check;
// What json_put_text put; the caller's to free; without NUL bytes, at most max bytes.
struct err *json_get_text(const json_t *object, const char *name, size_t max, char **ret)
	must_check;
// At most max bytes; the caller's to free, and there when len is 0, too.
struct err *json_get_bytes(const json_t *object, const char *name, size_t max,
			   uint8_t **ret, size_t *len) must_check;
// Exactly len bytes.
struct err *json_get_exact(const json_t *object, const char *name, void *buf, size_t len)
	must_check;
// Borrowed.
struct err *json_get_object(const json_t *object, const char *name, const json_t **ret)
	must_check;
// At most max elements; borrowed.
struct err *json_get_array(const json_t *object, const char *name, size_t max,
			   const json_t **ret) must_check;

// Optional members: as above, and *ret gets `otherwise` when it is not there.
struct err *json_opt_int(const json_t *object, const char *name, int64_t min, int64_t max,
			 int64_t otherwise, int64_t *ret) must_check;
struct err *json_opt_i32(const json_t *object, const char *name, int min, int max,
			 int otherwise, int *ret) must_check;
struct err *json_opt_bool(const json_t *object, const char *name, bool otherwise,
			  bool *ret) must_check;
struct err *json_opt_mask(const json_t *object, const char *name, uint64_t otherwise,
			  uint64_t *ret) must_check;
struct err *json_opt_string(const json_t *object, const char *name, const char *otherwise,
			    const char **ret) must_check;
// NULL when it is not there.
struct err *json_opt_object(const json_t *object, const char *name, const json_t **ret)
	must_check;
// NULL when it is not there (json_array_size gives 0 for it).
struct err *json_opt_array(const json_t *object, const char *name, size_t max,
			   const json_t **ret) must_check;

// Elements of arrays: integers, pids ... are read as above from an array element by these.
struct err *json_item_int(const json_t *array, size_t i, int64_t min, int64_t max,
			  int64_t *ret) must_check;
struct err *json_item_object(const json_t *array, size_t i, const json_t **ret) must_check;

// Puts "NAME[I]: " before an error; NULL stays NULL.
struct err *json_at(struct err *e, const char *name, size_t i) must_check;
