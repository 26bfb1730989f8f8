/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_actions_perform.c - what actions ask of a VMM, in which order, and what they make
 * of its replies, of lies too. The VMM is a thread with a script at the other end of a socket pair.
 * Wraps clock_gettime and nanosleep: time passes by sleeping. Links the supervisor's modules.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "supervisor/actions_list.h"
#include "supervisor/actions_perform.h"

#define EXCHANGES_MAX 16

int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

/* A clock that only sleeping moves: how often something is asked for is no matter of speed. */
static atomic_ullong clock_ns = NS_PER_S;

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	uint64_t now = atomic_load(&clock_ns);

	(void)clock;
	*out = (struct timespec){ .tv_sec = (time_t)(now / NS_PER_S),
		                  .tv_nsec = (long)(now % NS_PER_S) };
	return 0;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)left;
	atomic_fetch_add(&clock_ns, (uint64_t)time->tv_sec * NS_PER_S + (uint64_t)time->tv_nsec);
	return 0;
}

/* One request that must come, and its reply. */
struct exchange {
	const char *verb;    /* of an agent's request its own */
	const char *members; /* that the request must have, or NULL */
	const char *reply;   /* without id; NULL: the VMM hangs up */
};

struct vmm {
	const struct exchange *script;
	size_t count, done; /* as many rows as were right */
	int fd;
	pthread_t thread;
};

static bool has_members(const json_t *request, const char *members)
{
	json_t *wanted = members ? json_loads(members, 0, NULL) : json_object();
	const char *key;
	json_t *value;
	bool has = wanted != NULL;

	json_object_foreach(wanted, key, value)
	{
		has = has && json_equal(json_object_get(request, key), value);
	}
	json_decref(wanted);
	return has;
}

/* No assertions on this thread: the row that was wrong is seen at the end. */
static bool answer(struct vmm *vmm, struct wire_conn *conn, const json_t *message)
{
	const struct exchange *row = &vmm->script[vmm->done];
	const json_t *inner = json_object_get(message, "request");
	const json_t *request = inner ? inner : message;
	const char *verb = json_string_value(json_object_get(request, "verb"));
	json_t *reply;
	int fd = -1;

	if (vmm->done == vmm->count || strcmp(verb, row->verb) != 0 ||
	    !has_members(request, row->members))
		return false;
	vmm->done++;
	if (!row->reply)
		return false;
	reply = json_loads(row->reply, 0, NULL);
	json_object_set(reply, "id", json_object_get(message, "id"));
	if (json_object_get(reply, "size"))
		fd = memfd_create("png", MFD_CLOEXEC);
	if (fd >= 0 && ftruncate(fd, 4) < 0)
		return false;
	(void)wire_conn_send(conn, reply, NULL, 0, fd);
	if (fd >= 0)
		close(fd);
	json_decref(reply);
	return true;
}

static void *run_vmm(void *arg)
{
	struct vmm *vmm = arg;
	struct wire_message message = WIRE_MESSAGE_INIT;
	struct wire_conn conn;
	bool goes_on = wire_conn_init(&conn, vmm->fd) == 0;

	while (goes_on) {
		struct pollfd pfd = { .fd = conn.fd, .events = POLLIN };

		if (poll(&pfd, 1, 10000) <= 0 || wire_conn_read(&conn, NULL) < 0)
			break;
		while (goes_on && wire_conn_next(&conn, &message, NULL) > 0) {
			goes_on = answer(vmm, &conn, message.object);
			wire_message_finish(&message);
		}
	}
	wire_conn_finish(&conn);
	return NULL;
}

/* The answer to an action, in which ' stands for ", done by this script. */
static json_t *perform(const char *text, const struct exchange *script, struct failure *failure)
{
	struct session session = SESSION_INIT;
	struct client client = CLIENT_INIT;
	struct actor actor = { .client = &client };
	struct vmm vmm = { .script = script };
	struct action_list list = { 0 };
	json_t *answered = json_object();
	char *copy = strdup(text);
	int fds[2];

	for (char *at = copy; *at; at++) {
		if (*at == '\'')
			*at = '"';
	}
	if (action_list_parse(copy, strlen(copy), &list, failure) < 0)
		fail_msg("%s: %s", text, failure->message);
	while (script[vmm.count].verb)
		vmm.count++;
	assert_true(vmm.count < EXCHANGES_MAX);
	snprintf(session.name, sizeof(session.name), "a");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	vmm.fd = fds[1];
	client.session = &session;
	assert_int_equal(wire_conn_init(&client.conn, fds[0]), 0);
	assert_int_equal(pthread_create(&vmm.thread, NULL, run_vmm, &vmm), 0);
	if (actor_begin(&actor, failure) == 0 && actor_check(&actor, &list.items[0], failure) == 0)
		(void)actor_perform(&actor, &list.items[0], answered, failure);
	client_close(&client);
	pthread_join(vmm.thread, NULL);
	if (vmm.done != vmm.count)
		fail_msg("%s: row %zu of the script did not come; %s", text, vmm.done,
		         failure->message);
	action_list_finish(&list);
	free(copy);
	return answered;
}

static void check_member(const json_t *answered, const char *key, const char *expected)
{
	json_t *wanted = json_loads(expected, JSON_DECODE_ANY, NULL);
	const json_t *got = json_object_get(answered, key);

	if (!json_equal(got, wanted))
		fail_msg("%s is %s, not %s", key, got ? json_dumps(got, JSON_ENCODE_ANY) : "absent",
		         expected);
	json_decref(wanted);
}

/* clang-format off */
#define HASH "\"hash\":\"0123456789abcdef\""
#define OK "{\"ok\":true"
#define SCREEN { "status", NULL, OK ",\"display\":{\"width\":1280,\"height\":800}}" }
#define NO_SCREEN { "status", NULL, OK "}" }
#define NAMED(frame)                                                                               \
	{ "screenshot", "{\"format\":\"hash\"}",                                                   \
	  OK ",\"width\":1280,\"height\":800," HASH ",\"frame\":\"" frame "\",\"region\":[0,0,1280,800]}" }
#define COMPARED(asked, changed, rects, frame)                                                     \
	{ "compare", asked, OK ",\"changed\":" changed ",\"rects\":" rects ",\"frame\":\"" frame "\"}" }
#define REFUSED(verb, code) { verb, NULL, "{\"ok\":false,\"error\":{\"code\":\"" code "\",\"message\":\"no\"}}" }
#define INPUT(steps) { "input", "{\"steps\":" steps "}", OK ",\"steps\":1,\"x\":3,\"y\":4}" }
#define END { NULL, NULL, NULL }
/* clang-format on */

static void test_input(void **state)
{
	static const struct exchange script[] = {
		SCREEN,
		NAMED("a-1"),
		INPUT("[{\"move\":[3,4]}]"),
		COMPARED("{\"frame\":\"a-1\"}", "true", "[[0,32,64,32]]", "a-2"),
		END,
	};
	struct failure failure = { 0 };
	json_t *got = perform("{'action':'mouse_move','coordinate':[3,4]}", script, &failure);

	(void)state;
	assert_int_equal(failure.status, 0);
	check_member(got, "action", "\"mouse_move\"");
	check_member(got, "coordinate", "[3,4]");
	check_member(got, "before", "\"a-1\"");
	check_member(got, "after", "\"a-2\"");
	check_member(got, "changed", "[[0,32,64,32]]");
	assert_true(json_is_integer(json_object_get(got, "ms")));
	assert_true(json_is_integer(json_object_get(got, "done_ms")));
	json_decref(got);
}

/* Without a screen an action that needs none is done, and says nothing of frames. */
static void test_no_screen(void **state)
{
	static const struct exchange script[] = {
		NO_SCREEN,
		REFUSED("screenshot", "not_ready"),
		{ "browser", "{\"op\":\"navigate\",\"url\":\"http://a/\"}",
		  OK ",\"url\":\"http://a/\"}" },
		END,
	};
	static const struct exchange nothing[] = { NO_SCREEN, END };
	struct failure failure = { 0 };
	json_t *got = perform("{'action':'navigate','url':'http://a/'}", script, &failure);

	(void)state;
	assert_int_equal(failure.status, 0);
	check_member(got, "url", "\"http://a/\"");
	assert_null(json_object_get(got, "before"));
	assert_null(json_object_get(got, "changed"));
	json_decref(got);

	got = perform("{'action':'mouse_move','coordinate':[3,4]}", nothing, &failure);
	assert_int_equal(failure.status, STATUS_TIMEOUT);
	assert_string_equal(failure.code, "not_ready");
	json_decref(got);
}

#define HALF "a-1@640x400/1280x800+0+0"

static void test_scaled(void **state)
{
	static const struct exchange script[] = {
		SCREEN,
		NAMED("a-5"),
		COMPARED("{\"frame\":\"a-1\",\"against\":\"a-5\",\"rect\":[21,41,1,1]}", "false",
		         "[]", "a-5"),
		INPUT("[{\"move\":[21,41]}]"),
		COMPARED("{\"frame\":\"a-5\"}", "true", "[[64,32,64,32]]", "a-6"),
		END,
	};
	struct failure failure = { 0 };
	json_t *got = perform("{'action':'mouse_move','coordinate':[10,20],'frame':'" HALF
	                      "','if_unchanged':true}",
	                      script, &failure);

	(void)state;
	assert_int_equal(failure.status, 0);
	check_member(got, "coordinate", "[10,20]");
	check_member(got, "before", "\"a-5@640x400/1280x800+0+0\"");
	check_member(got, "after", "\"a-6@640x400/1280x800+0+0\"");
	check_member(got, "changed", "[[32,16,32,16]]");
	json_decref(got);
}

/* Nothing is sent to the guest when the frame is stale. */
static void test_stale(void **state)
{
	static const struct {
		const char *action;
		struct exchange script[EXCHANGES_MAX];
		bool says_where;
	} cases[] = {
		{ "{'type':'move','x':3,'y':4,'frame':'a-1','if_unchanged':true}",
		  { SCREEN, NAMED("a-5"),
		    COMPARED("{\"rect\":[3,4,1,1]}", "true", "[[0,0,64,32]]", "a-5"), END },
		  true },
		{ "{'type':'drag','path':[{'x':3,'y':4},{'x':5,'y':6}],'frame':'a-1','if_unchanged'"
		  ":true}",
		  { SCREEN, NAMED("a-5"), COMPARED("{\"rect\":[3,4,1,1]}", "false", "[]", "a-5"),
		    COMPARED("{\"rect\":[5,6,1,1]}", "true", "[[0,0,64,32]]", "a-5"), END },
		  true },
		{ "{'type':'type','text':'x','frame':'a-1','if_unchanged':true}",
		  { SCREEN, NAMED("a-5"),
		    COMPARED("{\"frame\":\"a-1\",\"against\":\"a-5\"}", "true", "[[0,0,64,32]]",
		             "a-5"),
		    END },
		  true },
		{ "{'action':'zoom','region':[1,2,3,4],'frame':'a-1','if_unchanged':true}",
		  { SCREEN, NAMED("a-5"),
		    COMPARED("{\"rect\":[1,2,2,2]}", "true", "[[0,0,64,32]]", "a-5"), END },
		  true },
		{ "{'type':'wait','frame':'a-1','if_unchanged':true}",
		  { SCREEN, NAMED("a-5"), REFUSED("compare", "stale_frame"), END },
		  false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct failure failure = { 0 };
		json_t *got = perform(cases[i].action, cases[i].script, &failure);

		assert_int_equal(failure.status, STATUS_FAILED);
		assert_string_equal(failure.code, "stale_frame");
		check_member(got, "before", "\"a-5\"");
		if (cases[i].says_where)
			check_member(got, "changed", "[[0,0,64,32]]");
		json_decref(got);
	}
}

#define SHOT(width, height, region)                                                                \
	OK ",\"width\":" width ",\"height\":" height "," HASH                                      \
	   ",\"frame\":\"a-7\",\"region\":" region ",\"size\":4}"

static void test_screenshots(void **state)
{
	static const struct {
		const char *action;
		struct exchange script[3];
		const char *frame, *scale, *region;
	} cases[] = {
		{ "{'action':'screenshot'}",
		  { SCREEN,
		    { "screenshot", "{\"format\":\"png\"}",
		      SHOT("1280", "800", "[0,0,1280,800]") } },
		  "\"a-7\"",
		  "1.0",
		  "[0,0,1280,800]" },
		{ "{'type':'screenshot','max_width':640,'max_pixels':9999999}",
		  { SCREEN,
		    { "screenshot", "{\"max_width\":640,\"max_pixels\":9999999}",
		      SHOT("640", "400", "[0,0,1280,800]") } },
		  "\"a-7@640x400/1280x800+0+0\"",
		  "0.5",
		  "[0,0,1280,800]" },
		{ "{'action':'zoom','region':[10,20,110,70]}",
		  { SCREEN,
		    { "screenshot", "{\"region\":[10,20,100,50]}",
		      SHOT("100", "50", "[10,20,100,50]") } },
		  "\"a-7@100x50/100x50+10+20\"",
		  "1.0",
		  "[10,20,100,50]" },
		{ "{'action':'zoom','region':[10,20,110,70],'frame':'" HALF "','max_width':50}",
		  { SCREEN,
		    { "screenshot", "{\"region\":[20,40,200,100],\"max_width\":50}",
		      SHOT("50", "25", "[20,40,200,100]") } },
		  "\"a-7@50x25/200x100+20+40\"",
		  "0.25",
		  "[20,40,200,100]" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct failure failure = { 0 };
		json_t *got = perform(cases[i].action, cases[i].script, &failure);

		if (failure.status)
			fail_msg("%s: %s", cases[i].action, failure.message);
		check_member(got, "frame", cases[i].frame);
		check_member(got, "scale", cases[i].scale);
		check_member(got, "region", cases[i].region);
		assert_non_null(json_object_get(got, "png_base64"));
		assert_null(json_object_get(got, "before"));
		json_decref(got);
	}
}

#define STATE(url, title)                                                                          \
	{                                                                                          \
		"browser", "{\"op\":\"state\"}",                                                   \
			OK ",\"url\":\"" url "\",\"title\":\"" title "\",\"loading\":false}"       \
	}
#define SETTLES(settled)                                                                           \
	{                                                                                          \
		"settle", "{\"quiet_ms\":500}",                                                    \
			OK ",\"settled\":" settled                                                 \
			   ",\"frame\":\"a-8\",\"waited_ms\":1,\"periodic\":[[0,0,64,32]]}"        \
	}
#define CHANGED(area)                                                                              \
	COMPARED("{\"frame\":\"a-1\",\"name\":false,\"rect\":" area "}", "true", "[[0,0,64,32]]",  \
	         "a-3")
#define UNCHANGED(area)                                                                            \
	COMPARED("{\"frame\":\"a-1\",\"name\":false,\"rect\":" area "}", "false", "[]", "a-3")
#define AFTER COMPARED("{\"frame\":\"a-1\"}", "true", "[[0,0,64,32]]", "a-4")

/* It is asked until it comes true, then once more when the screen has settled. */
static void test_expect(void **state)
{
	static const struct exchange script[] = {
		SCREEN,
		NAMED("a-1"),
		STATE("http://a/", ""),
		UNCHANGED("[1,2,3,4]"),
		STATE("http://a/done", "Done"),
		UNCHANGED("[1,2,3,4]"),
		STATE("http://a/done", "Done"),
		CHANGED("[1,2,3,4]"),
		SETTLES("true"),
		STATE("http://a/done", "Done"),
		CHANGED("[1,2,3,4]"),
		UNCHANGED("[5,6,7,8]"),
		AFTER,
		END,
	};
	struct failure failure = { 0 };
	json_t *got = perform(
		"{'action':'wait','duration':0,'expect':{'changed':[1,2,3,4],'settled':true,"
		"'unchanged':[5,6,7,8],'url':{'matches':'/done$'},'title':'Done'}}",
		script, &failure);
	const json_t *seen = json_object_get(got, "expect");

	(void)state;
	if (failure.status)
		fail_msg("%s", failure.message);
	check_member(seen, "met", "true");
	check_member(seen, "url", "\"http://a/done\"");
	check_member(seen, "title", "\"Done\"");
	check_member(seen, "changed", "[[0,0,64,32]]");
	check_member(seen, "unchanged", "[]");
	check_member(seen, "settled", "true");
	check_member(seen, "periodic", "[[0,0,64,32]]");
	assert_null(json_object_get(seen, "missed"));
	check_member(got, "after", "\"a-4\"");
	json_decref(got);
}

static void test_expect_missed(void **state)
{
	static const struct {
		const char *action;
		struct exchange script[8];
		const char *missed, *message;
	} cases[] = {
		{ "{'type':'type','text':'x','expect':{'title':'Done','timeout_ms':1}}",
		  { SCREEN, NAMED("a-1"), INPUT("[{\"text\":\"x\"}]"),
		    STATE("http://a/", "No \\u001b[m"), STATE("http://a/", "No \\u001b[m"), AFTER,
		    END },
		  "[\"title\"]",
		  "type: not as expected after 1 ms: title is \"No  [m\"" },
		{ "{'type':'type','text':'x','expect':{'settled':true,'timeout_ms':1}}",
		  { SCREEN, NAMED("a-1"), INPUT("[{\"text\":\"x\"}]"), SETTLES("false"), AFTER,
		    END },
		  "[\"settled\"]",
		  "type: not as expected after 1 ms: settled" },
		{ "{'type':'type','text':'x','expect':{'settled':true,'timeout_ms':1}}",
		  { SCREEN, NAMED("a-1"), INPUT("[{\"text\":\"x\"}]"), REFUSED("settle", "timeout"),
		    AFTER, END },
		  "[\"settled\"]",
		  "type: not as expected after 1 ms: settled" },
		{ "{'type':'type','text':'x','expect':{'unchanged':true,'timeout_ms':1}}",
		  { SCREEN, NAMED("a-1"), INPUT("[{\"text\":\"x\"}]"), SETTLES("false"), AFTER,
		    AFTER, END },
		  "[\"unchanged\"]",
		  "type: not as expected after 1 ms: unchanged" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct failure failure = { 0 };
		json_t *got = perform(cases[i].action, cases[i].script, &failure);
		const json_t *seen = json_object_get(got, "expect");

		assert_int_equal(failure.status, STATUS_FAILED);
		assert_string_equal(failure.code, "unexpected");
		assert_string_equal(failure.message, cases[i].message);
		check_member(seen, "met", "false");
		check_member(seen, "missed", cases[i].missed);
		check_member(got, "after", "\"a-4\"");
		json_decref(got);
	}
}

/* A VMM that goes away, or says what makes no sense: a failure, and no answer that is made up. */
static void test_broken(void **state)
{
	static const struct {
		struct exchange script[6];
		const char *code;
	} cases[] = {
		{ { SCREEN, { "screenshot", NULL, OK ",\"width\":1}" }, END }, "broken" },
		{ { SCREEN,
		    { "screenshot", NULL,
		      OK ",\"width\":1,\"height\":1," HASH
		         ",\"frame\":\"a;b\",\"region\":[0,0,1,1]}" },
		    END },
		  "broken" },
		{ { SCREEN,
		    NAMED("a-1"),
		    { "input", NULL, OK "}" },
		    { "compare", NULL, OK "}" },
		    END },
		  "broken" },
		{ { SCREEN, NAMED("a-1"), REFUSED("input", "control_taken"), END },
		  "control_taken" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct failure failure = { 0 };
		json_t *got = perform("{'type':'type','text':'x'}", cases[i].script, &failure);

		assert_int_equal(failure.status, STATUS_FAILED);
		assert_string_equal(failure.code, cases[i].code);
		assert_null(json_object_get(got, "after"));
		assert_null(json_object_get(got, "changed"));
		json_decref(got);
	}
}

/* A frame that has been forgotten while the action was done is no failure of the action. */
static void test_forgotten(void **state)
{
	static const struct exchange script[] = {
		SCREEN,
		NAMED("a-1"),
		INPUT("[{\"text\":\"x\"}]"),
		REFUSED("compare", "stale_frame"),
		END,
	};
	struct failure failure = { 0 };
	json_t *got = perform("{'type':'type','text':'x'}", script, &failure);

	(void)state;
	assert_int_equal(failure.status, 0);
	check_member(got, "before", "\"a-1\"");
	assert_null(json_object_get(got, "after"));
	json_decref(got);
}

static void test_pointer(void **state)
{
	static const struct exchange good[] = { SCREEN, NAMED("a-1"), INPUT("[]"), AFTER, END };
	static const struct exchange bad[] = {
		SCREEN,
		NAMED("a-1"),
		{ "input", NULL, OK ",\"x\":-1,\"y\":99999}" },
		END,
	};
	struct failure failure = { 0 };
	json_t *got = perform("{'action':'cursor_position'}", good, &failure);

	(void)state;
	assert_int_equal(failure.status, 0);
	check_member(got, "coordinate", "[3,4]");
	json_decref(got);
	got = perform("{'action':'cursor_position'}", bad, &failure);
	assert_string_equal(failure.code, "broken");
	json_decref(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_input),       cmocka_unit_test(test_no_screen),
		cmocka_unit_test(test_scaled),      cmocka_unit_test(test_stale),
		cmocka_unit_test(test_screenshots), cmocka_unit_test(test_expect),
		cmocka_unit_test(test_broken),      cmocka_unit_test(test_expect_missed),
		cmocka_unit_test(test_forgotten),   cmocka_unit_test(test_pointer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
