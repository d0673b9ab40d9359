// SPDX-License-Identifier: LGPL-2.1-or-later
// Making members of JSON objects and reading them with checks; see json.h.
#include "image/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

enum { PID_TOP = 4194304 };

struct err *json_put(json_t *object, const char *name, json_t *value)
{
	return json_object_set_new(object, name, value) ? err_nomem() : NULL;
}

struct err *json_add(json_t *array, json_t *value)
{
	return json_array_append_new(array, value) ? err_nomem() : NULL;
}

struct err *json_put_int(json_t *object, const char *name, int64_t value)
{
	return json_put(object, name, json_integer(value));
}

struct err *json_put_bool(json_t *object, const char *name, bool value)
{
	return json_put(object, name, json_boolean(value));
}

struct err *json_put_mask(json_t *object, const char *name, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	return json_put(object, name, json_string(text));
}

struct err *json_put_bytes(json_t *object, const char *name, const void *data, size_t len)
{
	_cleanup_free_ char *text = base64_encode(data, len);

	return text ? json_put(object, name, json_string_nocheck(text)) : err_nomem();
}

struct err *json_put_text(json_t *object, const char *name, const char *text)
{
	json_t *plain = json_string(text), *inner;

	if (plain)
		return json_put(object, name, plain);
	TRY(json_put_object(object, name, &inner));
	return json_put_bytes(inner, "base64", text, strlen(text));
}

struct err *json_put_object(json_t *object, const char *name, json_t **ret)
{
	*ret = json_object();
	return json_put(object, name, *ret);
}

struct err *json_put_array(json_t *object, const char *name, json_t **ret)
{
	*ret = json_array();
	return json_put(object, name, *ret);
}

struct err *json_add_object(json_t *array, json_t **ret)
{
	*ret = json_object();
	return json_add(array, *ret);
}

bool json_has(const json_t *object, const char *name)
{
	const json_t *v = json_object_get(object, name);

	return v && !json_is_null(v);
}

static struct err *wrong(const char *name, const char *what)
{
	return err_new(ERR_CORRUPT, "member '%s' is %s", name, what);
}

static struct err *member(const json_t *object, const char *name, const json_t **ret)
{
	*ret = json_object_get(object, name);
	if (!json_is_object(object))
		return err_new(ERR_CORRUPT, "what should hold '%s' is no object", name);
	if (!*ret || json_is_null(*ret))
		return wrong(name, "missing");
	return NULL;
}

static struct err *integer(const json_t *v, const char *name, int64_t min, int64_t max,
			   int64_t *ret)
{
	if (!json_is_integer(v))
		return wrong(name, "no integer");
	*ret = json_integer_value(v);
	if (*ret >= min && *ret <= max)
		return NULL;
	return err_new(ERR_CORRUPT,
		       "member '%s' is %" PRId64 ", not %" PRId64 "..%" PRId64, name,
		       *ret, min, max);
}

struct err *json_get_int(const json_t *object, const char *name, int64_t min, int64_t max,
			 int64_t *ret)
{
	const json_t *v;

	TRY(member(object, name, &v));
	return integer(v, name, min, max, ret);
}

struct err *json_get_i32(const json_t *object, const char *name, int min, int max,
			 int *ret)
{
	int64_t v;

	TRY(json_get_int(object, name, min, max, &v));
	*ret = (int)v;
	return NULL;
}

struct err *json_get_u64(const json_t *object, const char *name, uint64_t max,
			 uint64_t *ret)
{
	int64_t v;

	TRY(json_get_int(object, name, 0, (int64_t)max, &v));
	*ret = (uint64_t)v;
	return NULL;
}

struct err *json_get_addr(const json_t *object, const char *name, taddr_t *ret)
{
	return json_get_u64(object, name, (uint64_t)JSON_ADDR_MAX, ret);
}

struct err *json_get_pid(const json_t *object, const char *name, pid_t *ret)
{
	return json_get_i32(object, name, 1, PID_TOP, ret);
}

struct err *json_get_bool(const json_t *object, const char *name, bool *ret)
{
	const json_t *v;

	TRY(member(object, name, &v));
	if (!json_is_boolean(v))
		return wrong(name, "neither true nor false");
	*ret = json_is_true(v);
	return NULL;
}

struct err *json_get_mask(const json_t *object, const char *name, uint64_t *ret)
{
	const char *text;
	char *end;

	TRY(json_get_string(object, name, &text));
	if (strncmp(text, "0x", 2) != 0 || strlen(text) < 3 || strlen(text) > 18 ||
	    strspn(text + 2, "0123456789abcdef") != strlen(text + 2))
		return wrong(name, "no mask (0x and up to 16 hex digits)");
	*ret = strtoull(text + 2, &end, 16);
	return NULL;
}

static struct err *string(const json_t *v, const char *name, const char **ret)
{
	if (!json_is_string(v))
		return wrong(name, "no string");
	*ret = json_string_value(v);
	return strlen(*ret) == json_string_length(v) ? NULL : wrong(name, "cut by a NUL");
}

struct err *json_get_string(const json_t *object, const char *name, const char **ret)
{
	const json_t *v;

	TRY(member(object, name, &v));
	return string(v, name, ret);
}

static struct err *decoded(const json_t *v, const char *name, size_t max, uint8_t **ret,
			   size_t *len)
{
	const char *text;

	TRY(string(v, name, &text));
	if (base64_decode(text, json_string_length(v), max, ret, len))
		return NULL;
	return errno == ENOMEM ? err_nomem()
			       : err_new(ERR_CORRUPT,
					 "member '%s' is no base64 of up to %zu bytes",
					 name, max);
}

struct err *json_get_text(const json_t *object, const char *name, size_t max, char **ret)
{
	const json_t *v;
	const char *text;
	uint8_t *bytes;
	size_t len;

	TRY(member(object, name, &v));
	if (!json_is_object(v)) {
		TRY(string(v, name, &text));
		if (strlen(text) > max)
			return wrong(name, "too long");
		*ret = strdup(text);
		return *ret ? NULL : err_nomem();
	}
	TRY(decoded(json_object_get(v, "base64"), name, max, &bytes, &len));
	if (memchr(bytes, 0, len)) {
		free(bytes);
		return wrong(name, "cut by a NUL");
	}
	bytes[len] = 0; // there is always room for it
	*ret = (char *)bytes;
	return NULL;
}

struct err *json_get_bytes(const json_t *object, const char *name, size_t max,
			   uint8_t **ret, size_t *len)
{
	const json_t *v;

	TRY(member(object, name, &v));
	return decoded(v, name, max, ret, len);
}

struct err *json_get_exact(const json_t *object, const char *name, void *buf, size_t len)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t n;

	TRY(json_get_bytes(object, name, len, &bytes, &n));
	if (n != len)
		return err_new(ERR_CORRUPT, "member '%s' has %zu bytes, not %zu", name, n,
			       len);
	memcpy(buf, bytes, len);
	return NULL;
}

struct err *json_get_object(const json_t *object, const char *name, const json_t **ret)
{
	TRY(member(object, name, ret));
	return json_is_object(*ret) ? NULL : wrong(name, "no object");
}

struct err *json_get_array(const json_t *object, const char *name, size_t max,
			   const json_t **ret)
{
	TRY(member(object, name, ret));
	if (!json_is_array(*ret))
		return wrong(name, "no array");
	if (json_array_size(*ret) > max)
		return err_new(ERR_CORRUPT, "member '%s' has %zu elements, not up to %zu",
			       name, json_array_size(*ret), max);
	return NULL;
}

// When the object has no such member, *ret gets `otherwise`.
#define OPTIONAL(object, name, ret, otherwise)                           \
	do {                                                             \
		if (json_is_object(object) && !json_has(object, name)) { \
			*(ret) = (otherwise);                            \
			return NULL;                                     \
		}                                                        \
	} while (0)

struct err *json_opt_int(const json_t *object, const char *name, int64_t min, int64_t max,
			 int64_t otherwise, int64_t *ret)
{
	OPTIONAL(object, name, ret, otherwise);
	return json_get_int(object, name, min, max, ret);
}

struct err *json_opt_i32(const json_t *object, const char *name, int min, int max,
			 int otherwise, int *ret)
{
	OPTIONAL(object, name, ret, otherwise);
	return json_get_i32(object, name, min, max, ret);
}

struct err *json_opt_bool(const json_t *object, const char *name, bool otherwise,
			  bool *ret)
{
	OPTIONAL(object, name, ret, otherwise);
	return json_get_bool(object, name, ret);
}

struct err *json_opt_mask(const json_t *object, const char *name, uint64_t otherwise,
			  uint64_t *ret)
{
	OPTIONAL(object, name, ret, otherwise);
	return json_get_mask(object, name, ret);
}

struct err *json_opt_string(const json_t *object, const char *name, const char *otherwise,
			    const char **ret)
{
	OPTIONAL(object, name, ret, otherwise);
	return json_get_string(object, name, ret);
}

struct err *json_opt_object(const json_t *object, const char *name, const json_t **ret)
{
	OPTIONAL(object, name, ret, NULL);
	return json_get_object(object, name, ret);
}

struct err *json_opt_array(const json_t *object, const char *name, size_t max,
			   const json_t **ret)
{
	OPTIONAL(object, name, ret, NULL);
	return json_get_array(object, name, max, ret);
}

struct err *json_item_int(const json_t *array, size_t i, int64_t min, int64_t max,
			  int64_t *ret)
{
	return json_at(integer(json_array_get(array, i), "element", min, max, ret),
		       "element", i);
}

struct err *json_item_object(const json_t *array, size_t i, const json_t **ret)
{
	*ret = json_array_get(array, i);
	return json_is_object(*ret) ? NULL
				    : err_new(ERR_CORRUPT, "element %zu is no object", i);
}

struct err *json_at(struct err *e, const char *name, size_t i)
{
	return err_wrap(e, "%s[%zu]", name, i);
}
