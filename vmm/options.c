/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "lib/proto.h"

#define DEFAULT_MEMORY ((uint64_t)1 << 30)
#define TTL_MAX_S ((uint64_t)365 * 24 * 3600)
#define CID_MAX 0xfffffffeull
#define NAME_MAX_BYTES 63

enum {
	OPT_KERNEL = 256,
	OPT_INITRAMFS,
	OPT_IMAGE,
	OPT_APPEND,
	OPT_PAGE,
	OPT_DISK,
	OPT_MEMORY,
	OPT_CPUS,
	OPT_SIZE,
	OPT_CONTROL,
	OPT_VSOCK,
	OPT_VNC,
	OPT_CID,
	OPT_NET,
	OPT_MAC,
	OPT_NET_RATE,
	OPT_CONSOLE,
	OPT_REPORT,
	OPT_NAME,
	OPT_TTL,
	OPT_GUEST_ROOT,
	OPT_NO_PAGE_REPORTING,
	OPT_PAUSED,
	OPT_RESTORE,
	OPT_RESTORE_MODE,
	OPT_TEMPLATES,
	OPT_TOUCH,
	OPT_RECORD_TOUCH,
	OPT_RING3,
	OPT_PROBE,
	OPT_INSPECT,
	OPT_VERIFY,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "kernel", required_argument, NULL, OPT_KERNEL },
	{ "initramfs", required_argument, NULL, OPT_INITRAMFS },
	{ "image", required_argument, NULL, OPT_IMAGE },
	{ "disk", required_argument, NULL, OPT_DISK },
	{ "append", required_argument, NULL, OPT_APPEND },
	{ "page", required_argument, NULL, OPT_PAGE },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "control", required_argument, NULL, OPT_CONTROL },
	{ "vsock", required_argument, NULL, OPT_VSOCK },
	{ "vnc", required_argument, NULL, OPT_VNC },
	{ "cid", required_argument, NULL, OPT_CID },
	{ "net", required_argument, NULL, OPT_NET },
	{ "mac", required_argument, NULL, OPT_MAC },
	{ "net-rate", required_argument, NULL, OPT_NET_RATE },
	{ "console", required_argument, NULL, OPT_CONSOLE },
	{ "report", required_argument, NULL, OPT_REPORT },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "ttl", required_argument, NULL, OPT_TTL },
	{ "guest-root", no_argument, NULL, OPT_GUEST_ROOT },
	{ "no-page-reporting", no_argument, NULL, OPT_NO_PAGE_REPORTING },
	{ "paused", no_argument, NULL, OPT_PAUSED },
	{ "restore", required_argument, NULL, OPT_RESTORE },
	{ "restore-mode", required_argument, NULL, OPT_RESTORE_MODE },
	{ "templates", required_argument, NULL, OPT_TEMPLATES },
	{ "touch", required_argument, NULL, OPT_TOUCH },
	{ "record-touch", required_argument, NULL, OPT_RECORD_TOUCH },
	{ "ring3", no_argument, NULL, OPT_RING3 },
	{ "probe", no_argument, NULL, OPT_PROBE },
	{ "inspect", required_argument, NULL, OPT_INSPECT },
	{ "verify", required_argument, NULL, OPT_VERIFY },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

void options_print_help(FILE *out)
{
	fputs("usage: cloche-vmm --kernel FILE [option…]\n"
	      "\n"
	      "Runs one guest in one process, straight on /dev/kvm; see cloche-vmm(1).\n"
	      "\n"
	      "guest:\n"
	      "  --kernel FILE      ELF vmlinux or bzImage\n"
	      "  --initramfs FILE   the guest's first user space\n"
	      "  --image FILE       root image (erofs), shared read-only as virtio-pmem\n"
	      "  --disk FILE[,ro]   a disk (virtio-blk) over a raw file; repeatable, up to 4\n"
	      "  --memory SIZE      RAM: MiB, or with suffix M or G (default 1G, at most 64G)\n"
	      "  --cpus N           virtual CPUs, 1 to 8 (default 1)\n"
	      "  --size WxH         screen (default 1280x800)\n"
	      "  --page URL         first page of the browser\n"
	      "  --append ARGS      added to the kernel command line\n"
	      "  --guest-root       lets exec requests ask for root inside the guest\n"
	      "  --no-page-reporting\n"
	      "                     the guest keeps memory that it has freed\n"
	      "host:\n"
	      "  --control PATH     control socket, must not exist\n"
	      "  --vsock PATH       vsock host socket, must not exist; guest port P arrives at "
	      "PATH_P\n"
	      "  --vnc PATH         socket for VNC viewers, must not exist\n"
	      "  --cid N            the guest's vsock CID, 3 or above (default 3)\n"
	      "  --net WHAT         a network card: tap:IFNAME, tap-fd:N or stream:PATH (default: "
	      "none)\n"
	      "  --mac ADDRESS      of the card (default: made from name and CID)\n"
	      "  --net-rate B[:P]   at most B bytes and P packets a second, each way; B may have a "
	      "suffix\n"
	      "                     K, M or G, and 0 is no limit\n"
	      "  --console FILE     serial console; - is standard output (default -)\n"
	      "  --report FILE      writes a JSON report when the guest has ended\n"
	      "  --name NAME        for status and logs (default: guest)\n"
	      "  --ttl SECONDS      ends the guest after this time (default: none)\n"
	      "  --paused           starts with the CPUs parked, until 'resume'\n"
	      "restoring, instead of --kernel and all that describes the guest:\n"
	      "  --restore FILE     goes on from a snapshot file; --image takes the place of the "
	      "one "
	      "that\n"
	      "                     it names, --net gives its card something to be plugged into\n"
	      "  --restore-mode M   how memory is had: template, lazy or eager (default: the "
	      "fastest "
	      "that\n"
	      "                     this host allows)\n"
	      "  --templates DIR    where templates lie that sessions share, for template\n"
	      "  --touch FILE       the order in which memory is wanted first, for lazy\n"
	      "  --record-touch FILE\n"
	      "                     writes that order there, for lazy\n"
	      "other:\n"
	      "  --probe            tells as JSON whether guests can run on this host\n"
	      "  --inspect FILE     tells as JSON what is in a snapshot\n"
	      "  --verify FILE      the same, after having read and checked all of it\n"
	      "  --ring3            the kernel is a freestanding test guest that starts in ring 3\n"
	      "  --help, --version\n"
	      "\n"
	      "exit status: 0 the guest ended by itself or was asked to, 1 the host failed,\n"
	      "2 bad input, 3 the guest crashed, 4 the time to live ran out\n",
	      out);
}

static int parse_number(const char *option, const char *text, uint64_t min, uint64_t max,
                        uint64_t *out, struct error *err)
{
	char *end;

	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno || value < min || value > max)
		return error_set(err, -EINVAL, "--%s must be a number from %llu to %llu, not '%s'",
		                 option, (unsigned long long)min, (unsigned long long)max, text);
	*out = value;
	return 0;
}

static int parse_memory(const char *text, uint64_t *out, struct error *err)
{
	char *end;

	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	unsigned shift = *end == 'G' || *end == 'g' ? 30 : 20;
	if (*end == 'G' || *end == 'g' || *end == 'M' || *end == 'm')
		end++;
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno || value == 0 ||
	    value > GUEST_MEMORY_MAX >> shift)
		return error_set(err, -EINVAL, "--memory must be 1M to 64G (such as 1G), not '%s'",
		                 text);
	*out = (uint64_t)value << shift;
	return 0;
}

static int parse_size(const char *text, unsigned *out_width, unsigned *out_height,
                      struct error *err)
{
	unsigned width, height;
	char rest;

	/* sscanf alone would take blanks and signs. */
	if (text[strspn(text, "0123456789x")] != '\0' ||
	    sscanf(text, "%5ux%5u%c", &width, &height, &rest) != 2 ||
	    width < PROTO_DISPLAY_SIDE_MIN || height < PROTO_DISPLAY_SIDE_MIN ||
	    width > PROTO_DISPLAY_SIDE_MAX || height > PROTO_DISPLAY_SIDE_MAX)
		return error_set(err, -EINVAL,
		                 "--size must be WIDTHxHEIGHT with sides of %u to %u, not '%s'",
		                 PROTO_DISPLAY_SIDE_MIN, PROTO_DISPLAY_SIDE_MAX, text);
	*out_width = width;
	*out_height = height;
	return 0;
}

/* Takes ",ro" or ",rw" off the end of @value; the latter is for files whose names end so. */
static int parse_disk(char *value, struct vm_config *c, struct error *err)
{
	struct vm_disk disk = { .path = value };
	char *comma = strrchr(value, ',');

	if (comma && (strcmp(comma, ",ro") == 0 || strcmp(comma, ",rw") == 0)) {
		disk.read_only = comma[2] == 'o';
		*comma = '\0';
	}
	if (*value == '\0')
		return error_set(err, -EINVAL, "--disk needs a file: --disk FILE or FILE,ro");
	if (c->disk_count == VM_DISKS_MAX)
		return error_set(err, -EINVAL, "--disk: at most %d of them", VM_DISKS_MAX);
	c->disks[c->disk_count++] = disk;
	return 0;
}

/* It becomes one word of the kernel command line, where a blank or a quote would end it. */
static int check_page(const char *url, struct error *err)
{
	for (const char *c = url; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '"')
			return error_set(err, -EINVAL,
			                 "--page must be a URL without blanks, quotes or non-ASCII "
			                 "characters (percent-encode them)");
	return 0;
}

/* It is told in JSON, and kept in snapshots (snapshot/config.h). */
static int check_name(const char *name, struct error *err)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < length; i++)
		if (name[i] < ' ' || name[i] > '~')
			length = 0;
	if (length == 0 || length > NAME_MAX_BYTES)
		return error_set(err, -EINVAL, "--name must be 1 to %d printable ASCII characters",
		                 NAME_MAX_BYTES);
	return 0;
}

/* Options that are a word or a flag; numbers and sizes are parsed apart. True: it was one. */
static bool take_plain(int option, const char *value, struct vm_config *c)
{
	switch (option) {
	case OPT_KERNEL:
		c->kernel = value;
		return true;
	case OPT_INITRAMFS:
		c->initramfs = value;
		return true;
	case OPT_IMAGE:
		c->image = value;
		return true;
	case OPT_APPEND:
		c->append = value;
		return true;
	case OPT_CONTROL:
		c->control = value;
		return true;
	case OPT_VSOCK:
		c->vsock = value;
		return true;
	case OPT_VNC:
		c->vnc = value;
		return true;
	case OPT_CONSOLE:
		c->console = value;
		return true;
	case OPT_REPORT:
		c->report = value;
		return true;
	case OPT_GUEST_ROOT:
		c->guest_root = true;
		return true;
	case OPT_NO_PAGE_REPORTING:
		c->no_page_reporting = true;
		return true;
	case OPT_PAUSED:
		c->paused = true;
		return true;
	case OPT_RING3:
		c->ring3 = true;
		return true;
	case OPT_RESTORE:
		c->restore = value;
		return true;
	case OPT_TEMPLATES:
		c->restore_config.templates = value;
		return true;
	case OPT_TOUCH:
		c->restore_config.touch = value;
		return true;
	case OPT_RECORD_TOUCH:
		c->restore_config.record = value;
		return true;
	default:
		return false;
	}
}

static int take_parsed(int option, char *value, struct vm_config *c, struct error *err)
{
	uint64_t number = 0;
	int ret;

	switch (option) {
	case OPT_DISK:
		return parse_disk(value, c, err);
	case OPT_MEMORY:
		return parse_memory(value, &c->memory, err);
	case OPT_SIZE:
		return parse_size(value, &c->width, &c->height, err);
	case OPT_PAGE:
		c->page = value;
		return check_page(value, err);
	case OPT_NAME:
		c->name = value;
		return check_name(value, err);
	case OPT_CPUS:
		ret = parse_number("cpus", value, 1, ARCH_CPUS_MAX, &number, err);
		c->cpus = (unsigned)number;
		return ret;
	case OPT_CID:
		ret = parse_number("cid", value, 3, CID_MAX, &number, err);
		c->cid = (uint32_t)number;
		return ret;
	case OPT_RESTORE_MODE:
		if (restore_mode_parse(value, &c->restore_config.mode))
			return error_set(err, -EINVAL,
			                 "--restore-mode must be template, lazy or eager, not '%s'",
			                 value);
		return 0;
	case OPT_NET:
		return options_parse_net(value, &c->net, err);
	case OPT_MAC:
		return options_parse_mac(value, &c->net, err);
	case OPT_NET_RATE:
		return options_parse_net_rate(value, &c->net, err);
	case OPT_TTL:
		return parse_number("ttl", value, 1, TTL_MAX_S, &c->ttl_s, err);
	default:
		return error_set(err, -EINVAL,
		                 "unknown option, or one without its value (--help lists them)");
	}
}

/* Options that ask for something else than a guest. */
static bool is_other_mode(int option, enum options_mode *out_mode)
{
	switch (option) {
	case 'h':
	case OPT_HELP:
		*out_mode = OPTIONS_HELP;
		return true;
	case OPT_VERSION:
		*out_mode = OPTIONS_VERSION;
		return true;
	case OPT_PROBE:
		*out_mode = OPTIONS_PROBE;
		return true;
	case OPT_INSPECT:
		*out_mode = OPTIONS_INSPECT;
		return true;
	case OPT_VERIFY:
		*out_mode = OPTIONS_VERIFY;
		return true;
	default:
		return false;
	}
}

/* What a snapshot file says itself. */
static bool describes_guest(int option)
{
	static const int options[] = {
		OPT_KERNEL, OPT_INITRAMFS, OPT_DISK, OPT_APPEND,     OPT_PAGE,
		OPT_MEMORY, OPT_CPUS,      OPT_SIZE, OPT_GUEST_ROOT, OPT_NO_PAGE_REPORTING,
		OPT_CID,    OPT_RING3
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i] == option)
			return true;
	return false;
}

static int check_together(const struct vm_config *c, const char *described, struct error *err)
{
	const struct restore_config *r = &c->restore_config;

	if (c->restore && described)
		return error_set(err, -EINVAL, "%s goes not with --restore: the snapshot has it",
		                 described);
	if (!c->restore && (r->mode != RESTORE_AUTO || r->templates || r->touch || r->record))
		return error_set(err, -EINVAL,
		                 "--restore-mode, --templates, --touch and --record-touch go only "
		                 "with --restore");
	return 0;
}

int options_parse(int argc, char *argv[], struct vm_config *out_config, enum options_mode *out_mode,
                  struct error *err)
{
	struct vm_config c = { .name = "guest",
		               .console = "-",
		               .memory = DEFAULT_MEMORY,
		               .cpus = 1,
		               .width = 1280,
		               .height = 800,
		               .cid = PROTO_GUEST_CID };
	const char *described = NULL;
	int option;

	*out_mode = OPTIONS_RUN;
	optind = 0; /* glibc: forget an earlier command line */
	opterr = 0;
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (is_other_mode(option, out_mode)) {
			out_config->examine = optarg;
			return 0;
		}
		if (describes_guest(option) && !described)
			described = argv[optind - (optarg && optarg == argv[optind - 1] ? 2 : 1)];
		if (take_plain(option, optarg, &c))
			continue;
		int rc = take_parsed(option, optarg, &c, err);
		if (rc)
			return option == '?' ? error_prefix(err, rc, "%s", argv[optind - 1]) : rc;
	}
	if (optind < argc)
		return error_set(err, -EINVAL, "'%s' is no option (--help lists them)",
		                 argv[optind]);
	int ret = check_together(&c, described, err);
	if (ret)
		return ret;
	if (!c.kernel && !c.restore)
		return error_set(err, -EINVAL,
		                 "a kernel is needed: --kernel FILE (--help lists all options)");
	/* A snapshot says itself whether there is a card. */
	ret = c.restore ? 0 : options_finish_net(&c.net, c.name, c.cid, err);
	if (ret)
		return ret;
	*out_config = c;
	return 0;
}
