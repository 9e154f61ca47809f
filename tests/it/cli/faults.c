/*
 * Preloaded into the program by faults.rs: counts the calls that change files
 * below certain folders, and lets the n-th of them fail, or kills the program
 * before it.
 *
 *   FAULT_UNDER   folders, with colons between them
 *   FAULT_AT      number of the call, from 0
 *   FAULT_KIND    kill, short (half of a write is done, what follows finds no
 *                 space), or the number of an error
 *   FAULT_MOUNTED if set, no rename takes the place of a file
 *   FAULT_LOG     gets the name of the call that was hit
 *
 * Programs that it starts run without it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *under, *kind, *logged;
static long at = -1;
static int mounted;
static atomic_long count;
static atomic_int full;

__attribute__((constructor)) static void start(void)
{
	under = getenv("FAULT_UNDER");
	kind = getenv("FAULT_KIND");
	logged = getenv("FAULT_LOG");
	mounted = getenv("FAULT_MOUNTED") != NULL;
	if (getenv("FAULT_AT"))
		at = atol(getenv("FAULT_AT"));
	unsetenv("LD_PRELOAD");
}

static int is_under(const char *path)
{
	char whole[PATH_MAX * 2];
	const char *folder = under;

	if (!under || !path)
		return 0;
	if (path[0] != '/') {
		if (!getcwd(whole, PATH_MAX))
			return 0;
		strcat(whole, "/");
		strncat(whole, path, PATH_MAX - 1);
		path = whole;
	}
	while (*folder) {
		size_t length = strcspn(folder, ":");
		if (length && strncmp(path, folder, length) == 0)
			return 1;
		folder += length + (folder[length] == ':');
	}
	return 0;
}

static int is_open_under(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t length;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof path - 1);
	if (length < 0)
		return 0;
	path[length] = 0;
	return is_under(path);
}

/* Whether this call is the one; with `short` only writes are. */
static int hit(const char *name)
{
	int fd;

	if (atomic_fetch_add(&count, 1) != at)
		return 0;
	fd = syscall(SYS_openat, AT_FDCWD, logged, O_WRONLY | O_CREAT | O_APPEND, 0644);
	syscall(SYS_write, fd, name, strlen(name));
	syscall(SYS_close, fd);
	if (strcmp(kind, "kill") == 0)
		raise(SIGKILL);
	if (strcmp(kind, "short") == 0) {
		atomic_store(&full, 1);
		return strcmp(name, "write") == 0;
	}
	errno = atoi(kind);
	return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Opening for reading counts as well: that may fail just as much. */
#define OPEN(name)                                                          \
	int name(const char *path, int flags, ...)                          \
	{                                                                   \
		va_list args;                                               \
		mode_t mode;                                                \
		va_start(args, flags);                                      \
		mode = va_arg(args, mode_t);                                \
		va_end(args);                                               \
		if (is_under(path) &&                                       \
		    hit(flags & O_CREAT ? "create" : "open") &&             \
		    strcmp(kind, "short") != 0)                             \
			return -1;                                          \
		return REAL(name)(path, flags, mode);                       \
	}
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void *bytes, size_t length)
{
	if (is_open_under(fd)) {
		if (atomic_load(&full)) {
			errno = ENOSPC;
			return -1;
		}
		if (hit("write")) {
			if (strcmp(kind, "short") != 0)
				return -1;
			return REAL(write)(fd, bytes, length / 2);
		}
	}
	return REAL(write)(fd, bytes, length);
}

ssize_t read(int fd, void *bytes, size_t length)
{
	if (is_open_under(fd) && hit("read"))
		return -1;
	return REAL(read)(fd, bytes, length);
}

int fsync(int fd)
{
	return is_open_under(fd) && hit("fsync") ? -1 : REAL(fsync)(fd);
}

int fchmod(int fd, mode_t mode)
{
	return is_open_under(fd) && hit("fchmod") ? -1 : REAL(fchmod)(fd, mode);
}

int fchown(int fd, uid_t owner, gid_t group)
{
	return is_open_under(fd) && hit("fchown") ? -1 : REAL(fchown)(fd, owner, group);
}

int ftruncate64(int fd, off64_t length)
{
	return is_open_under(fd) && hit("ftruncate") ? -1 : REAL(ftruncate64)(fd, length);
}

int rename(const char *from, const char *to)
{
	if (is_under(to) && hit("rename"))
		return -1;
	if (mounted && is_under(to) && access(to, F_OK) == 0) {
		errno = EBUSY;
		return -1;
	}
	return REAL(rename)(from, to);
}

int link(const char *from, const char *to)
{
	return is_under(to) && hit("link") ? -1 : REAL(link)(from, to);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	return is_under(to) && hit("link") ? -1 : REAL(linkat)(from_fd, from, to_fd, to, flags);
}

int unlink(const char *path)
{
	return is_under(path) && hit("unlink") ? -1 : REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode)
{
	return is_under(path) && hit("mkdir") ? -1 : REAL(mkdir)(path, mode);
}

int unlinkat(int fd, const char *path, int flags)
{
	return is_open_under(fd) && hit("unlinkat") ? -1 : REAL(unlinkat)(fd, path, flags);
}
