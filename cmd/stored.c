// SPDX-License-Identifier: GPL-2.0-or-later
// Texts of a manifest; see stored.h. Whoever may write to the store wrote it: nothing in it is taken for granted.
#include "cmd/stored.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/text.h"
#include "image/json.h"
#include "util/cleanup.h"

enum { TEXT_MAX = 4096 };

static char *text_of(const json_t *object, const char *name)
{
	char *text = NULL;

	if (json_has(object, name))
		err_free(json_get_text(object, name, TEXT_MAX, &text));
	return text;
}

void stored_text(const json_t *manifest, const char *name, char *buf, size_t size)
{
	_cleanup_free_ char *text = text_of(manifest, name);

	snprintf(buf, size, "%s", text ? shown(text) : "-");
}

void stored_time(const json_t *manifest, char *buf, size_t size)
{
	const int64_t second = 1000000000;
	time_t t = json_integer_value(json_object_get(manifest, "time")) / second;
	struct tm tm;

	if (t <= 0 || !localtime_r(&t, &tm) || !strftime(buf, size, "%F %T", &tm))
		snprintf(buf, size, "-");
}

void format_bytes(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	const double step = 1000;
	double n = (double)bytes;
	size_t u = 0;

	while (n >= step && u < 4) {
		n /= step;
		u++;
	}
	snprintf(buf, size, u ? "%.1f %s" : "%.0f %s", n, units[u]);
}

void stored_size(const json_t *manifest, char *buf, size_t size)
{
	int64_t bytes = json_integer_value(json_object_get(manifest, "bytes"));

	format_bytes(bytes < 0 ? 0 : (uint64_t)bytes, buf, size);
}

json_t *stored_json(const json_t *manifest, const char *name)
{
	json_t *v = json_object_get(manifest, name);

	if (!json_is_object(v))
		return v ? json_incref(v) : json_null();
	_cleanup_free_ char *text = text_of(manifest, name);
	return cmd_json_string(text);
}
