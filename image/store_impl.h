// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of the store share.
#pragma once

#include <sys/stat.h>

#include "image/impl.h"
#include "image/store.h"

enum {
	STORE_ID_SIZE = 24, // of the text of an id
	PARENTS_MAX = 1000,
	MANIFEST_MAX = 256 << 20,
	PROCESSES_MAX = 1 << 22,
};

#define STORE_TEMPORARY ".tmp-"
#define STORE_MODULES "modules"

struct kept_module {
	char *key;
	uint64_t size;
	char hash[CORE_HASH_LEN + 1];
};

struct store {
	int fd, modules; // modules -1: not open; locked shared once a module was kept
	char *path;
	uid_t owner;
	VEC(struct kept_module) kept;
};

// flock(2) of the whole store, for changes of its list; the descriptor to close.
struct err *store_lock(const struct store *s, int *ret) must_check;
void store_unlock(const int *fd);

// An errno of working on the store: what it means for it as a whole.
struct err *store_error(const struct store *s, int errnum, const char *doing) must_check;

// Owned by the caller, the store's owner or root, and not for others to write to.
struct err *store_check_owner(const struct store *s, int fd, const char *name,
			      mode_t type) must_check;
// Opens `name` in a folder of the store, read-only and never through a link; ERR_CORRUPT when it is not there. `label` is for
// messages.
struct err *store_open_at(const struct store *s, int dir, const char *name,
			  const char *label, mode_t type, int *ret) must_check;

// "000017" or "17"; false when it is no id.
bool store_parse_id(const char *text, uint64_t *ret);
void store_format_id(uint64_t id, char text[STORE_ID_SIZE]);
// All ids, ascending.
struct ids {
	VEC(uint64_t) v;
};
struct err *store_ids(const struct store *s, struct ids *ret) must_check;
void ids_deinit(struct ids *ids);

// Removes a folder of files.
struct err *store_remove_folder(const struct store *s, const char *name) must_check;
// What tools that died left; the store is locked.
void store_clear_left_overs(const struct store *s);
// Makes a temporary name; `n` counts the trials.
void store_temporary(char *name, size_t size);

// Parsed and checked.
struct err *manifest_load(const struct store *s, int dir, const char *id, json_t **ret)
	must_check;
struct err *manifest_parse(const char *text, size_t len, const char *id, json_t **ret)
	must_check;
struct err *manifest_check(const json_t *manifest, const char *id) must_check;
// The entry of a process, NULL: none.
const json_t *manifest_process(const json_t *manifest, pid_t pid);
bool module_key_valid(const char *key);

// `seal`: sizes and times of the files, and the hash of the manifest.
struct err *seal_write(const struct store *s, int dir, const json_t *manifest,
		       const char *manifest_text) must_check;
// ERR_CORRUPT when it or the manifest is damaged.
struct err *seal_load(const struct store *s, int dir, const char *id, json_t **ret)
	must_check;
struct err *seal_parse(const char *text, size_t len, const char *label, json_t **ret)
	must_check;
// Whether the file is as it was sealed. `group`: "files" or "modules".
bool seal_holds(const json_t *seal, const char *group, const char *name, int fd);

// Whether a core's file is a compressed one.
bool core_is_compressed(const char *name);
// Into an unlinked file of the store, at most `size` bytes.
struct err *core_unpack(const struct store *s, int fd, const char *label, uint64_t size,
			int *ret) must_check;

// The chain of a process's cores.
struct err *open_core_chain(const struct store *s, int dir, const json_t *manifest,
			    const json_t *process, struct core **ret) must_check;
// A checkpoint's folder and manifest.
struct err *open_folder(const struct store *s, const char *id, int *dir,
			json_t **manifest) must_check;
// The id that `which` (id, name, NULL: the newest) means.
struct err *store_look_up(const struct store *s, const char *which,
			  char id[STORE_ID_SIZE]) must_check;

// Removes modules that no checkpoint needs; the store is locked. Does nothing while another tool may be keeping one.
struct err *store_collect_modules(const struct store *s) must_check;
// ERR_CORRUPT when a kept module is not what the manifest notes.
struct err *module_verify(const struct store *s, const char *key, const json_t *noted)
	must_check;
