/* SPDX-License-Identifier: Apache-2.0
 *
 * A layer between SQLite and its files, for tests: it makes the n-th operation fail, and it keeps a
 * record of all that was written, from which the disk after a power cut can be made up. It lies on
 * top of the usual layer, which does the work. fault_install makes it the default.
 */
#pragma once

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum fault_kind { FAULT_WRITE, FAULT_TRUNCATE, FAULT_SYNC, FAULT_DELETE, FAULT_NOTE };

struct fault_record {
    enum fault_kind kind;
    char path[PATH_MAX];
    sqlite3_int64 offset; /* or the new size; or what the test noted */
    int size;
    char *data;
};

/* Operations count from 1. fail_at 0: none fails; `lasting`: all after it fail too. */
static struct {
    int count, fail_at;
    bool lasting, recording;
    struct fault_record *records;
    size_t records_count, records_room;
    sqlite3_vfs *below;
} fault;

struct fault_file {
    sqlite3_file base;
    char path[PATH_MAX];
    sqlite3_file *below; /* in the same block, behind this */
};

static bool fault_due(void) {
    fault.count++;
    return fault.fail_at &&
           (fault.lasting ? fault.count >= fault.fail_at : fault.count == fault.fail_at);
}

static void fault_note(enum fault_kind kind, const char *path, sqlite3_int64 offset,
                       const void *data, int size) {
    if (!fault.recording) {
        return;
    }
    if (fault.records_count == fault.records_room) {
        fault.records_room = fault.records_room ? 2 * fault.records_room : 64;
        fault.records = realloc(fault.records, fault.records_room * sizeof *fault.records);
        assert_non_null(fault.records);
    }
    struct fault_record *r = &fault.records[fault.records_count++];
    *r = (struct fault_record){.kind = kind, .offset = offset, .size = size};
    strncpy(r->path, path, sizeof r->path - 1);
    r->data = malloc((size_t)size + 1);
    assert_non_null(r->data);
    if (size > 0) {
        memcpy(r->data, data, (size_t)size);
    }
}

static void fault_forget(void) {
    for (size_t i = 0; i < fault.records_count; i++) {
        free(fault.records[i].data);
    }
    free(fault.records);
    fault.records = NULL;
    fault.records_count = fault.records_room = 0;
}

#define BELOW(file) (((struct fault_file *)(file))->below)
#define PATH_OF(file) (((struct fault_file *)(file))->path)

static int fault_close(sqlite3_file *file) {
    return BELOW(file)->pMethods->xClose(BELOW(file));
}

static int fault_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset) {
    return fault_due() ? SQLITE_IOERR_READ
                       : BELOW(file)->pMethods->xRead(BELOW(file), data, size, offset);
}

static int fault_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset) {
    if (fault_due()) {
        return fault.count % 2 ? SQLITE_IOERR_WRITE : SQLITE_FULL;
    }
    fault_note(FAULT_WRITE, PATH_OF(file), offset, data, size);
    return BELOW(file)->pMethods->xWrite(BELOW(file), data, size, offset);
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size) {
    if (fault_due()) {
        return SQLITE_IOERR_TRUNCATE;
    }
    fault_note(FAULT_TRUNCATE, PATH_OF(file), size, NULL, 0);
    return BELOW(file)->pMethods->xTruncate(BELOW(file), size);
}

static int fault_sync(sqlite3_file *file, int flags) {
    if (fault_due()) {
        return SQLITE_IOERR_FSYNC;
    }
    fault_note(FAULT_SYNC, PATH_OF(file), 0, NULL, 0);
    return BELOW(file)->pMethods->xSync(BELOW(file), flags);
}

static int fault_size(sqlite3_file *file, sqlite3_int64 *size) {
    return fault_due() ? SQLITE_IOERR_FSTAT : BELOW(file)->pMethods->xFileSize(BELOW(file), size);
}

static int fault_lock(sqlite3_file *file, int lock) {
    return BELOW(file)->pMethods->xLock(BELOW(file), lock);
}

static int fault_unlock(sqlite3_file *file, int lock) {
    return BELOW(file)->pMethods->xUnlock(BELOW(file), lock);
}

static int fault_reserved(sqlite3_file *file, int *out) {
    return BELOW(file)->pMethods->xCheckReservedLock(BELOW(file), out);
}

static int fault_control(sqlite3_file *file, int op, void *arg) {
    return BELOW(file)->pMethods->xFileControl(BELOW(file), op, arg);
}

static int fault_sector(sqlite3_file *file) {
    return BELOW(file)->pMethods->xSectorSize(BELOW(file));
}

static int fault_device(sqlite3_file *file) {
    return BELOW(file)->pMethods->xDeviceCharacteristics(BELOW(file));
}

static int fault_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out) {
    return fault_due() ? SQLITE_IOERR_SHMMAP
                       : BELOW(file)->pMethods->xShmMap(BELOW(file), page, size, extend, out);
}

static int fault_shm_lock(sqlite3_file *file, int offset, int n, int flags) {
    return BELOW(file)->pMethods->xShmLock(BELOW(file), offset, n, flags);
}

static void fault_shm_barrier(sqlite3_file *file) {
    BELOW(file)->pMethods->xShmBarrier(BELOW(file));
}

static int fault_shm_unmap(sqlite3_file *file, int remove) {
    return BELOW(file)->pMethods->xShmUnmap(BELOW(file), remove);
}

static const sqlite3_io_methods fault_methods = {
    .iVersion = 2,
    .xClose = fault_close,
    .xRead = fault_read,
    .xWrite = fault_write,
    .xTruncate = fault_truncate,
    .xSync = fault_sync,
    .xFileSize = fault_size,
    .xLock = fault_lock,
    .xUnlock = fault_unlock,
    .xCheckReservedLock = fault_reserved,
    .xFileControl = fault_control,
    .xSectorSize = fault_sector,
    .xDeviceCharacteristics = fault_device,
    .xShmMap = fault_shm_map,
    .xShmLock = fault_shm_lock,
    .xShmBarrier = fault_shm_barrier,
    .xShmUnmap = fault_shm_unmap,
};

static int fault_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out) {
    struct fault_file *f = (struct fault_file *)file;
    (void)vfs;
    memset(f, 0, sizeof *f);
    if (fault_due()) {
        return SQLITE_CANTOPEN;
    }
    f->below = (sqlite3_file *)(f + 1);
    strncpy(f->path, path ? path : "", sizeof f->path - 1);
    int code = fault.below->xOpen(fault.below, path, f->below, flags, out);
    if (code == SQLITE_OK) {
        f->base.pMethods = &fault_methods;
    }
    return code;
}

static int fault_delete(sqlite3_vfs *vfs, const char *path, int sync_folder) {
    (void)vfs;
    if (fault_due()) {
        return SQLITE_IOERR_DELETE;
    }
    int code = fault.below->xDelete(fault.below, path, sync_folder);
    if (code == SQLITE_OK) {
        fault_note(FAULT_DELETE, path, 0, NULL, 0);
    }
    return code;
}

static void fault_install(void) {
    static sqlite3_vfs vfs;
    fault.below = sqlite3_vfs_find(NULL);
    assert_non_null(fault.below);
    vfs = *fault.below;
    vfs.zName = "fault";
    vfs.szOsFile = (int)sizeof(struct fault_file) + fault.below->szOsFile;
    vfs.xOpen = fault_open;
    vfs.xDelete = fault_delete;
    assert_int_equal(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}
