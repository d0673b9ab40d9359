// SPDX-License-Identifier: LGPL-2.1-or-later
// The store: a folder of checkpoints, each a folder NNNNNN with one core for each process and manifest.json, and
// modules/BUILD-ID with the executables and libraries that they map, once each.
//
// A checkpoint is made under a temporary name, fsynced and renamed: it is there whole or not at all. Folders are 0700, files
// 0600; everything is opened relative to the store with O_NOFOLLOW. A store that belongs to another user than the caller
// (and not to root) is not read.
#pragma once

#include "image/image.h"

struct store;

// The default: $MOLT_STORE, else /var/lib/molt/checkpoints for root, $XDG_STATE_HOME/molt/checkpoints
// (~/.local/state) for others. `path` NULL takes that. `create` makes it when it is not there.
struct err *store_open(const char *path, bool create, struct store **ret) must_check;
void store_close(struct store *s);
void store_closep(struct store **s);
const char *store_path(const struct store *s);

// Making one.
struct pending;
// `name`: a name of the user's for it ([A-Za-z0-9._-]+), or NULL. Left-overs of tools that died are cleared first.
struct err *store_begin(struct store *s, const char *name, struct pending **ret)
	must_check;
int pending_dir(const struct pending *p);
enum { MODULE_KEY_SIZE = 80 };
// Keeps the file (a mapped program or library) as modules/KEY, unless it is there; key is its build-id, or
// "xxh-HASH" when it has none. It comes back changed where another file of that build-id is kept (one of the two was
// stripped). By reflink or copy.
struct err *store_keep_module(struct store *s, int fd, char key[MODULE_KEY_SIZE])
	must_check;
// Opens it: the descriptor, read-only.
struct err *store_module(const struct store *s, const char *key, int *fd) must_check;
// fsync, rename. Gives the id ("000017") and the path. The manifest gets "id", "format", "name", "modules" and is not taken
// over. Frees p in any case; after an error nothing is left.
struct err *pending_commit(struct pending *p, json_t *manifest, char **id, char **path)
	must_check;
void pending_abort(struct pending *p); // frees and removes it
void pending_abortp(struct pending **p);

// Reading one.
struct checkpoint {
	char *id, *path;
	json_t *manifest;
	VEC(struct core *) cores; // the first is the root of the tree; empty with `bare`
	int dir;
	struct store *store; // of its modules: the folder it stands in. Owned.
};
// By id, by name, by path, or NULL for the newest of the store. `bare`: the manifest only. Cores have their parents set.
struct err *checkpoint_open(const char *store_path, const char *which, bool bare,
			    struct checkpoint *ret) must_check;
void checkpoint_deinit(struct checkpoint *c);
// What the user wrote as id, name or path: the store's path and the id or name; a path says both, else `store` (NULL: the
// default) and `which` come back. For the caller to free.
struct err *store_resolve(const char *store, const char *which, char **path, char **id)
	must_check;
// Hashes every block and compares with the manifest: ERR_CORRUPT names file and offset. With `quick`, files are left out
// that have not been written since molt sealed them (size and ctime as noted when they were made).
struct err *checkpoint_verify(const struct checkpoint *c, bool quick) must_check;

// All, ascending; one that cannot be read is there with its error in `broken`.
struct stored {
	char *id, *path;
	json_t *manifest; // NULL when broken
	struct err *broken;
};
struct stored_list {
	VEC(struct stored) v;
};
struct err *store_list(const struct store *s, struct stored_list *ret) must_check;
void stored_list_deinit(struct stored_list *l);
// Refused (code has-children) while another names it as parent. Modules that no checkpoint needs go too. *removed (or NULL)
// gets its id.
struct err *store_remove(struct store *s, const char *which, char **removed) must_check;
