/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_options.c - the command line of cloche-vmm: what it gives, and every way to get it wrong.
 */
#include "tests/unit/unit.h"

#include "lib/cleanup.h"
#include "vmm/options.h"

#define ARGUMENTS_MAX 40
#define GIB ((uint64_t)1 << 30)

/* Parses @line, words apart by blanks; '~' stands for a blank within a word, '^' for an empty one. */
static int parse(const char *line, struct vm_config *config, enum options_mode *mode,
                 struct error *err)
{
	static char copy[4096];
	char *argv[ARGUMENTS_MAX] = { (char *)"cloche-vmm" };
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *c = strtok(copy, " "); c; c = strtok(NULL, " ")) {
		assert_true(argc < ARGUMENTS_MAX - 1);
		if (strcmp(c, "^") == 0)
			*c = '\0';
		for (char *p = c; *p; p++)
			if (*p == '~')
				*p = ' ';
		argv[argc++] = c;
	}
	memset(config, 0xee, sizeof(*config));
	*err = (struct error){ 0 };
	return options_parse(argc, argv, config, mode, err);
}

static void test_defaults(void **state)
{
	enum options_mode mode = OPTIONS_PROBE;
	struct vm_config c;
	struct error err;

	(void)state;
	assert_int_equal(parse("--kernel k", &c, &mode, &err), 0);
	assert_int_equal(mode, OPTIONS_RUN);
	assert_string_equal(c.kernel, "k");
	assert_string_equal(c.name, "guest");
	assert_string_equal(c.console, "-");
	assert_int_equal(c.memory, GIB);
	assert_int_equal(c.cpus, 1);
	assert_int_equal(c.width, 1280);
	assert_int_equal(c.height, 800);
	assert_int_equal(c.cid, 3);
	assert_int_equal(c.ttl_s, 0);
	assert_null(c.initramfs);
	assert_null(c.image);
	assert_null(c.append);
	assert_null(c.page);
	assert_null(c.control);
	assert_null(c.vsock);
	assert_null(c.report);
	assert_false(c.guest_root || c.paused || c.ring3 || c.no_page_reporting);
}

static void test_everything(void **state)
{
	enum options_mode mode;
	struct vm_config c;
	struct error err;

	(void)state;
	assert_int_equal(parse("--kernel=k --initramfs i --image r --append a~b --page http://h/ "
	                       "--memory 2G "
	                       "--cpus 8 --size 640x480 --control c --vsock v --cid 9 --console o "
	                       "--report p "
	                       "--name n --ttl 60 --guest-root --paused --ring3 "
	                       "--no-page-reporting",
	                       &c, &mode, &err),
	                 0);
	assert_string_equal(c.kernel, "k");
	assert_string_equal(c.initramfs, "i");
	assert_string_equal(c.image, "r");
	assert_string_equal(c.append, "a b");
	assert_string_equal(c.page, "http://h/");
	assert_int_equal(c.memory, 2 * GIB);
	assert_int_equal(c.cpus, 8);
	assert_int_equal(c.width, 640);
	assert_int_equal(c.height, 480);
	assert_string_equal(c.control, "c");
	assert_string_equal(c.vsock, "v");
	assert_int_equal(c.cid, 9);
	assert_string_equal(c.console, "o");
	assert_string_equal(c.report, "p");
	assert_string_equal(c.name, "n");
	assert_int_equal(c.ttl_s, 60);
	assert_true(c.guest_root && c.paused && c.ring3 && c.no_page_reporting);
}

static void test_disks(void **state)
{
	static const char *const bad[] = {
		"--kernel k --disk ^", "--kernel k --disk ,ro", "--kernel k --disk ,rw",
		"--kernel k --disk", "--kernel k --disk 1 --disk 2 --disk 3 --disk 4 --disk 5"
	};
	enum options_mode mode;
	struct vm_config c;
	struct error err;

	(void)state;
	assert_int_equal(parse("--kernel k", &c, &mode, &err), 0);
	assert_int_equal(c.disk_count, 0);
	assert_int_equal(parse("--disk /d/one --disk two,ro --kernel k --disk a,ro,rw --disk a,b",
	                       &c, &mode, &err),
	                 0);
	assert_int_equal(c.disk_count, 4);
	assert_string_equal(c.disks[0].path, "/d/one");
	assert_string_equal(c.disks[1].path, "two");
	assert_string_equal(c.disks[2].path, "a,ro");
	assert_string_equal(c.disks[3].path, "a,b");
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(c.disks[i].read_only, i == 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(bad[i], &c, &mode, &err), -EINVAL);
		assert_non_null(strstr(err.msg, "--disk"));
	}
}

static void test_modes(void **state)
{
	static const struct {
		const char *line;
		enum options_mode mode;
	} rows[] = {
		{ "--help", OPTIONS_HELP },
		{ "-h", OPTIONS_HELP },
		{ "--version", OPTIONS_VERSION },
		{ "--probe", OPTIONS_PROBE },
		{ "--inspect s", OPTIONS_INSPECT },
		{ "--verify s", OPTIONS_VERIFY },
		{ "--kernel k --help", OPTIONS_HELP },
		{ "--kernel k", OPTIONS_RUN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum options_mode mode;
		struct vm_config c;
		struct error err;

		assert_row(rows[i].line, parse(rows[i].line, &c, &mode, &err) == 0);
		assert_row(rows[i].line, mode == rows[i].mode);
		if (mode == OPTIONS_INSPECT || mode == OPTIONS_VERIFY)
			assert_string_equal(c.examine, "s");
	}
}

static void test_memory(void **state)
{
	static const struct {
		const char *text;
		uint64_t mib; /* 0: refused */
	} rows[] = {
		{ "1", 1 },
		{ "512", 512 },
		{ "512M", 512 },
		{ "512m", 512 },
		{ "1G", 1024 },
		{ "1g", 1024 },
		{ "64G", 65536 },
		{ "65536", 65536 },
		{ "0", 0 },
		{ "0G", 0 },
		{ "65G", 0 },
		{ "65537", 0 },
		{ "-1", 0 },
		{ "+1", 0 },
		{ "^", 0 },
		{ "G", 0 },
		{ "1K", 0 },
		{ "1GB", 0 },
		{ "1.5G", 0 },
		{ "0x10", 0 },
		{ "~1", 0 },
		{ "1~", 0 },
		{ "99999999999999999999", 0 },
		{ "17592186044417G", 0 },
		{ "17592186044416", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum options_mode mode;
		struct vm_config c;
		struct error err;
		char line[80];

		snprintf(line, sizeof(line), "--kernel k --memory %s", rows[i].text);
		int ret = parse(line, &c, &mode, &err);
		assert_row(rows[i].text, ret == (rows[i].mib ? 0 : -EINVAL));
		if (rows[i].mib)
			assert_row(rows[i].text, c.memory == rows[i].mib << 20);
		else
			assert_row(rows[i].text,
			           strstr(err.msg,
			                  "--memory must be 1M to 64G (such as 1G), not '"));
	}
}

#define NEEDED "a kernel is needed: --kernel FILE (--help lists all options)"
#define UNKNOWN "unknown option, or one without its value (--help lists them)"
#define CPUS "--cpus must be a number from 1 to 8, not "
#define CID "--cid must be a number from 3 to 4294967294, not "
#define TTL "--ttl must be a number from 1 to 31536000, not "
#define SIZE "--size must be WIDTHxHEIGHT with sides of 64 to 4096, not "
#define NET                                                                                        \
	"--net must be tap:IFNAME, tap-fd:N with N an open descriptor above 2, or stream:PATH, "   \
	"not "
#define MAC "--mac must be an address like 02:12:34:56:78:9a, not "
#define MAC_OF_ONE "--mac must be one card's address (the first byte even, not all zeros), not "
#define RATE                                                                                       \
	"--net-rate must be BYTES or BYTES:PACKETS a second, such as 10M or 10M:5000 or 0:5000, "  \
	"not "
#define CARD " needs a card: --net tap:IFNAME or stream:PATH"
#define PAGE                                                                                       \
	"--page must be a URL without blanks, quotes or non-ASCII characters (percent-encode "     \
	"them)"

#define NAME "--name must be 1 to 63 printable ASCII characters"
#define OF_63_BYTES "012345678901234567890123456789012345678901234567890123456789012"

static void test_mistakes(void **state)
{
	static const struct {
		const char *line, *message;
	} rows[] = {
		{ "", NEEDED },
		{ "--cpus 1", NEEDED },
		{ "--frob", "--frob: " UNKNOWN },
		{ "--kernel k --frob=1", "--frob=1: " UNKNOWN },
		{ "--kernel k -x", "-x: " UNKNOWN },
		{ "--kernel", "--kernel: " UNKNOWN },
		{ "--paused=1", "--paused=1: " UNKNOWN },
		{ "--c 1", "--c: " UNKNOWN }, /* cid, console, control or cpus? */
		{ "--kernel k stray", "'stray' is no option (--help lists them)" },
		{ "--kernel k -- --cpus", "'--cpus' is no option (--help lists them)" },
		{ "--kernel k -", "'-' is no option (--help lists them)" },
		{ "--cpus 0", CPUS "'0'" },
		{ "--cpus 9", CPUS "'9'" },
		{ "--cpus -1", CPUS "'-1'" },
		{ "--cpus 1x", CPUS "'1x'" },
		{ "--cpus ^", CPUS "''" },
		{ "--cpus ~1", CPUS "' 1'" },
		{ "--cpus 18446744073709551617", CPUS "'18446744073709551617'" },
		{ "--cid 2", CID "'2'" },
		{ "--cid 4294967295", CID "'4294967295'" },
		{ "--ttl 0", TTL "'0'" },
		{ "--ttl 31536001", TTL "'31536001'" },
		{ "--ttl 1.5", TTL "'1.5'" },
		{ "--size 63x64", SIZE "'63x64'" },
		{ "--size 64x63", SIZE "'64x63'" },
		{ "--size 4097x64", SIZE "'4097x64'" },
		{ "--size 64x4097", SIZE "'64x4097'" },
		{ "--size 640", SIZE "'640'" },
		{ "--size 640x480x24", SIZE "'640x480x24'" },
		{ "--size 640X480", SIZE "'640X480'" },
		{ "--size -640x480", SIZE "'-640x480'" },
		{ "--size 4294967360x64", SIZE "'4294967360x64'" },
		{ "--size ~640x480", SIZE "' 640x480'" },
		{ "--size 640x~480", SIZE "'640x 480'" },
		{ "--size +640x+480", SIZE "'+640x+480'" },
		{ "--name ^", NAME },
		{ "--name " OF_63_BYTES "x", NAME },
		{ "--name a\tb", NAME },
		{ "--name a\x7f", NAME },
		{ "--name \xc3\xa9", NAME },
		{ "--page a~b", PAGE },
		{ "--page a\"b", PAGE },
		{ "--page a\tb", PAGE },
		{ "--page a\x7f", PAGE },
		{ "--page \xc3\xa9", PAGE },
		{ "--net ^", NET "''" },
		{ "--net tap", NET "'tap'" },
		{ "--net tap:", NET "'tap:'" },
		{ "--net stream:", NET "'stream:'" },
		{ "--net bridge:br0", NET "'bridge:br0'" },
		{ "--net tap-fd:2", NET "'tap-fd:2'" },
		{ "--net tap-fd:-3", NET "'tap-fd:-3'" },
		{ "--net tap-fd:3x", NET "'tap-fd:3x'" },
		{ "--net tap-fd:4294967299", NET "'tap-fd:4294967299'" },
		{ "--mac 02:00:00:00:00", MAC "'02:00:00:00:00'" },
		{ "--mac 02:00:00:00:00:0g", MAC "'02:00:00:00:00:0g'" },
		{ "--mac 02:00:00:00:00:1:", MAC "'02:00:00:00:00:1:'" },
		{ "--mac 02-00-00-00-00-01", MAC "'02-00-00-00-00-01'" },
		{ "--mac 02:00:00:00:00:01:", MAC "'02:00:00:00:00:01:'" },
		{ "--mac 03:00:00:00:00:01", MAC_OF_ONE "'03:00:00:00:00:01'" },
		{ "--mac 00:00:00:00:00:00", MAC_OF_ONE "'00:00:00:00:00:00'" },
		{ "--net-rate ^", RATE "''" },
		{ "--net-rate 0", RATE "'0'" },
		{ "--net-rate 0:0", RATE "'0:0'" },
		{ "--net-rate 10T", RATE "'10T'" },
		{ "--net-rate 10M:", RATE "'10M:'" },
		{ "--net-rate 10M:5K", RATE "'10M:5K'" },
		{ "--net-rate 10M:5:5", RATE "'10M:5:5'" },
		{ "--net-rate -1", RATE "'-1'" },
		{ "--net-rate 1025G", RATE "'1025G'" },
		{ "--net-rate 99999999999999999999", RATE "'99999999999999999999'" },
		{ "--kernel k --mac 02:00:00:00:00:01", "--mac" CARD },
		{ "--kernel k --net-rate 1M", "--net-rate" CARD },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum options_mode mode;
		struct vm_config c, untouched;
		struct error err;

		int ret = parse(rows[i].line, &c, &mode, &err);
		if (ret != -EINVAL || err.code != -EINVAL || strcmp(err.msg, rows[i].message) != 0)
			fail_msg("row '%s': %d '%s', expected '%s'", rows[i].line, ret, err.msg,
			         rows[i].message);
		memset(&untouched, 0xee, sizeof(untouched));
		assert_memory_equal(&c, &untouched, sizeof(c));
	}
}

static void test_net(void **state)
{
	static const uint8_t mac[] = { 2, 0x1b, 0xc0, 0, 0, 0xff };
	enum options_mode mode;
	struct vm_config c, other;
	struct error err;

	(void)state;
	assert_int_equal(parse("--kernel k", &c, &mode, &err), 0);
	assert_int_equal(c.net.kind, NET_NONE);
	assert_int_equal(parse("--kernel k --net tap:t0 --mac 02:1B:c0:00:00:ff --net-rate 2M:300",
	                       &c, &mode, &err),
	                 0);
	assert_int_equal(c.net.kind, NET_TAP);
	assert_string_equal(c.net.target, "t0");
	assert_memory_equal(c.net.mac, mac, sizeof(mac));
	assert_int_equal(c.net.rate_bytes, 2 << 20);
	assert_int_equal(c.net.rate_packets, 300);
	assert_int_equal(parse("--kernel k --net tap-fd:9 --net-rate 0:7", &c, &mode, &err), 0);
	assert_int_equal(c.net.kind, NET_TAP_FD);
	assert_int_equal(c.net.fd, 9);
	assert_null(c.net.target);
	assert_int_equal(c.net.rate_bytes, 0);
	assert_int_equal(c.net.rate_packets, 7);
	assert_int_equal(parse("--kernel k --net stream:/p/s --net-rate 1024G", &c, &mode, &err),
	                 0);
	assert_int_equal(c.net.kind, NET_STREAM);
	assert_string_equal(c.net.target, "/p/s");
	assert_int_equal(c.net.rate_bytes, 1ull << 40);
	/* One card's address, of nobody's range; the same for the same session only. */
	assert_int_equal(c.net.mac[0], 2);
	assert_int_equal(parse("--kernel k --net stream:/q", &other, &mode, &err), 0);
	assert_memory_equal(other.net.mac, c.net.mac, sizeof(mac));
	assert_int_equal(parse("--kernel k --net stream:/q --name x", &other, &mode, &err), 0);
	assert_memory_not_equal(other.net.mac, c.net.mac, sizeof(mac));
	assert_int_equal(parse("--kernel k --net stream:/q --cid 4", &other, &mode, &err), 0);
	assert_memory_not_equal(other.net.mac, c.net.mac, sizeof(mac));
}

static void test_name(void **state)
{
	enum options_mode mode;
	struct vm_config c;
	struct error err;

	(void)state;
	assert_int_equal(parse("--kernel k --name " OF_63_BYTES, &c, &mode, &err), 0);
	assert_string_equal(c.name, OF_63_BYTES);
	assert_int_equal(parse("--kernel k --name a~~b!", &c, &mode, &err), 0);
	assert_string_equal(c.name, "a  b!");
}

/* --- restoring ------------------------------------------------------------------------------- */

static void test_restore(void **state)
{
	enum options_mode mode = OPTIONS_PROBE;
	struct vm_config c;
	struct error err;

	(void)state;
	assert_int_equal(parse("--restore s", &c, &mode, &err), 0);
	assert_int_equal(mode, OPTIONS_RUN);
	assert_string_equal(c.restore, "s");
	assert_null(c.kernel);
	assert_int_equal(c.restore_config.mode, RESTORE_AUTO);
	assert_null(c.restore_config.templates);
	assert_null(c.restore_config.touch);
	assert_null(c.restore_config.record);

	assert_int_equal(parse("--restore s --restore-mode lazy --templates t --touch o "
	                       "--record-touch p --image r --control c --vsock v --console o "
	                       "--report q --name n --ttl 60 --paused --net stream:/s "
	                       "--mac 02:00:00:00:00:01 --net-rate 1M",
	                       &c, &mode, &err),
	                 0);
	assert_int_equal(c.restore_config.mode, RESTORE_LAZY);
	assert_string_equal(c.restore_config.templates, "t");
	assert_string_equal(c.restore_config.touch, "o");
	assert_string_equal(c.restore_config.record, "p");
	assert_string_equal(c.image, "r");
	assert_string_equal(c.name, "n");
	assert_string_equal(c.net.target, "/s");
	assert_int_equal(c.net.mac[5], 1);
	assert_int_equal(c.net.rate_bytes, 1 << 20);
	assert_true(c.paused);
	/* What its card is together is known when the file has been read. */
	assert_int_equal(parse("--restore s --mac 02:00:00:00:00:01", &c, &mode, &err), 0);
	assert_int_equal(parse("--kernel k", &c, &mode, &err), 0);
	assert_null(c.restore);
}

static void test_restore_modes(void **state)
{
	static const struct {
		const char *name;
		enum restore_mode mode; /* RESTORE_AUTO: there is no such */
	} rows[] = {
		{ "template", RESTORE_TEMPLATE }, { "lazy", RESTORE_LAZY },
		{ "eager", RESTORE_EAGER },       { "auto", RESTORE_AUTO },
		{ "Lazy", RESTORE_AUTO },         { "^", RESTORE_AUTO },
		{ "lazy~", RESTORE_AUTO },
	};
	char line[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum options_mode mode;
		struct vm_config c;
		struct error err;

		snprintf(line, sizeof(line), "--restore s --restore-mode %s", rows[i].name);
		if (rows[i].mode != RESTORE_AUTO) {
			assert_row(rows[i].name, parse(line, &c, &mode, &err) == 0);
			assert_row(rows[i].name, c.restore_config.mode == rows[i].mode);
			continue;
		}
		assert_row(rows[i].name, parse(line, &c, &mode, &err) == -EINVAL);
		assert_row(rows[i].name,
		           strstr(err.msg, "--restore-mode must be template, lazy or eager"));
	}
}

/* The file says what the guest is; only with it does it matter how memory is had. */
static void test_restore_excludes(void **state)
{
	static const struct {
		const char *line, *message;
	} rows[] = {
#define HAS_IT " goes not with --restore: the snapshot has it"
#define ONLY "--restore-mode, --templates, --touch and --record-touch go only with --restore"
		{ "--restore s --kernel k", "--kernel" HAS_IT },
		{ "--kernel k --restore s", "--kernel" HAS_IT },
		{ "--kernel=k --restore s", "--kernel=k" HAS_IT },
		{ "--restore s --initramfs i", "--initramfs" HAS_IT },
		{ "--restore s --disk d,ro", "--disk" HAS_IT },
		{ "--restore s --append a", "--append" HAS_IT },
		{ "--restore s --page http://h/", "--page" HAS_IT },
		{ "--restore s --memory 1G", "--memory" HAS_IT },
		{ "--restore s --memory=1G", "--memory=1G" HAS_IT },
		{ "--restore s --cpus 1", "--cpus" HAS_IT },
		{ "--restore s --size 640x480", "--size" HAS_IT },
		{ "--restore s --cid 3", "--cid" HAS_IT },
		{ "--restore s --guest-root", "--guest-root" HAS_IT },
		{ "--restore s --no-page-reporting", "--no-page-reporting" HAS_IT },
		{ "--restore s --ring3", "--ring3" HAS_IT },
		/* The first is named. */
		{ "--restore s --name n --ring3 --cpus 2", "--ring3" HAS_IT },
		{ "--kernel k --restore-mode lazy", ONLY },
		{ "--kernel k --templates t", ONLY },
		{ "--kernel k --touch t", ONLY },
		{ "--kernel k --record-touch t", ONLY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum options_mode mode;
		struct vm_config c;
		struct error err;

		int ret = parse(rows[i].line, &c, &mode, &err);
		if (ret != -EINVAL || strcmp(err.msg, rows[i].message) != 0)
			fail_msg("row '%s': %d '%s'", rows[i].line, ret, err.msg);
	}
}

static void test_help_names_all(void **state)
{
	static const char *const names[] = {
		"--kernel",     "--initramfs",
		"--image",      "--memory",
		"--cpus",       "--size",
		"--page",       "--append",
		"--guest-root", "--control",
		"--vsock",      "--cid",
		"--console",    "--report",
		"--name",       "--ttl",
		"--paused",     "--probe",
		"--ring3",      "--help",
		"--version",    "--no-page-reporting",
		"--net ",       "--mac ",
		"--net-rate ",  "--inspect ",
		"--verify ",    "--restore ",
		"--templates ", "--restore-mode ",
		"--touch ",     "--record-touch ",
	};
	cleanup_free char *text = NULL;
	size_t size;

	(void)state;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	options_print_help(out);
	fclose(out);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_row(names[i], strstr(text, names[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),       cmocka_unit_test(test_everything),
		cmocka_unit_test(test_modes),          cmocka_unit_test(test_memory),
		cmocka_unit_test(test_disks),          cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_help_names_all), cmocka_unit_test(test_net),
		cmocka_unit_test(test_name),           cmocka_unit_test(test_restore),
		cmocka_unit_test(test_restore_modes),  cmocka_unit_test(test_restore_excludes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
