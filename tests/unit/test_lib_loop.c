/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_lib_loop.c - the event loop: what callbacks may do to watches and timers, order, and stop.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/loop.h"

/* A loop with a few eventfds under watch and timers; the callbacks note who was called. */
struct scene;

struct actor {
	struct loop_watch watch;
	struct loop_timer timer;
	struct scene *scene;
	int fd;
	int calls;
	void (*act)(struct actor *self);
};

struct scene {
	struct loop *loop;
	struct actor actors[4];
	char heard[64];
	size_t heard_count;
};

static struct actor *other_of(struct actor *self)
{
	return self == &self->scene->actors[0] ? &self->scene->actors[1] : &self->scene->actors[0];
}

static void hear(struct actor *self)
{
	struct scene *scene = self->scene;

	assert_true(scene->heard_count < sizeof(scene->heard) - 1);
	scene->heard[scene->heard_count++] = (char)('a' + (self - scene->actors));
	self->calls++;
	if (self->act)
		self->act(self);
}

static void on_ready(struct loop_watch *watch, uint32_t events)
{
	struct actor *self = container_of(watch, struct actor, watch);

	(void)events;
	hear(self);
}

static void on_expired(struct loop_timer *timer)
{
	struct actor *self = container_of(timer, struct actor, timer);

	assert_false(timer->active);
	hear(self);
}

static void scene_open(struct scene *scene)
{
	*scene = (struct scene){ 0 };
	assert_int_equal(loop_create(&scene->loop), 0);
	for (size_t i = 0; i < ARRAY_SIZE(scene->actors); i++) {
		scene->actors[i].scene = scene;
		scene->actors[i].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
}

static void scene_close(struct scene *scene)
{
	for (size_t i = 0; i < ARRAY_SIZE(scene->actors); i++) {
		loop_watch_remove(scene->loop, &scene->actors[i].watch);
		loop_timer_cancel(scene->loop, &scene->actors[i].timer);
		close(scene->actors[i].fd);
	}
	loop_destroy(scene->loop);
}

static void watch(struct actor *self)
{
	assert_int_equal(
		loop_watch_add(self->scene->loop, &self->watch, self->fd, EPOLLIN, on_ready), 0);
}

static void kick(struct actor *self)
{
	assert_int_equal(eventfd_write(self->fd, 1), 0);
}

static void drain(struct actor *self)
{
	eventfd_t value;

	eventfd_read(self->fd, &value);
}

static void set_timer(struct actor *self, uint64_t deadline_ns)
{
	loop_timer_set(self->scene->loop, &self->timer, deadline_ns, on_expired);
}

static void act_stop(struct actor *self)
{
	drain(self);
	loop_stop(self->scene->loop);
}

static void act_remove_other(struct actor *self)
{
	loop_watch_remove(self->scene->loop, &other_of(self)->watch);
	act_stop(self);
}

/* Both of two ready watches remove the other: only the one that is called first may be heard. */
static void test_removed_watch_is_not_called(void **state)
{
	struct scene scene;

	(void)state;
	scene_open(&scene);
	for (int i = 0; i < 2; i++) {
		scene.actors[i].act = act_remove_other;
		watch(&scene.actors[i]);
		kick(&scene.actors[i]);
	}
	assert_int_equal(loop_run(scene.loop), 0);
	assert_int_equal(scene.heard_count, 1);
	scene_close(&scene);
}

static void act_replace_other(struct actor *self)
{
	struct actor *other = other_of(self);

	loop_watch_remove(self->scene->loop, &other->watch);
	drain(other);
	watch(other);
	self->act = act_stop;
	loop_stop(self->scene->loop);
}

/* A watch that is removed and added again in one round doesn't see the old event. */
static void test_replaced_watch_starts_afresh(void **state)
{
	struct scene scene;

	(void)state;
	scene_open(&scene);
	for (int i = 0; i < 2; i++) {
		scene.actors[i].act = act_replace_other;
		watch(&scene.actors[i]);
		kick(&scene.actors[i]);
	}
	assert_int_equal(loop_run(scene.loop), 0);
	assert_int_equal(scene.heard_count, 1);
	scene_close(&scene);
}

static void act_remove_self(struct actor *self)
{
	loop_watch_remove(self->scene->loop, &self->watch);
}

static void test_watch_removes_itself(void **state)
{
	struct scene scene;

	(void)state;
	scene_open(&scene);
	scene.actors[0].act = act_remove_self;
	watch(&scene.actors[0]);
	kick(&scene.actors[0]);
	scene.actors[2].act = act_stop;
	set_timer(&scene.actors[2], clock_now_ns() + 5 * NS_PER_MS);
	assert_int_equal(loop_run(scene.loop), 0);
	assert_string_equal(scene.heard, "ac");
	assert_false(scene.actors[0].watch.active);
	loop_watch_remove(scene.loop, &scene.actors[0].watch); /* twice is nothing */
	scene_close(&scene);
}

static void test_watch_change(void **state)
{
	struct scene scene;
	struct actor *a = &scene.actors[0];

	(void)state;
	scene_open(&scene);
	watch(a);
	assert_int_equal(loop_watch_change(scene.loop, &a->watch, 0), 0);
	kick(a);
	scene.actors[1].act = act_stop;
	set_timer(&scene.actors[1], clock_now_ns() + 5 * NS_PER_MS);
	assert_int_equal(loop_run(scene.loop), 0);
	assert_string_equal(scene.heard, "b");

	a->act = act_stop;
	assert_int_equal(loop_watch_change(scene.loop, &a->watch, EPOLLIN), 0);
	assert_int_equal(loop_run(scene.loop), 0);
	assert_string_equal(scene.heard, "ba");
	scene_close(&scene);
}

static void test_watch_refused(void **state)
{
	struct scene scene;
	struct loop_watch bad = { 0 };
	char path[] = P_tmpdir "/cloche-unit-XXXXXX";
	int file = mkstemp(path);

	(void)state;
	scene_open(&scene);
	assert_int_equal(loop_watch_add(scene.loop, &bad, -1, EPOLLIN, on_ready), -EBADF);
	assert_int_equal(loop_watch_add(scene.loop, &bad, file, EPOLLIN, on_ready), -EPERM);
	assert_false(bad.active);
	close(file);
	unlink(path);
	scene_close(&scene);
}

static void test_timers_in_order(void **state)
{
	struct scene scene;
	uint64_t now = clock_now_ns();

	(void)state;
	scene_open(&scene);
	set_timer(&scene.actors[3], now + 9 * NS_PER_MS);
	set_timer(&scene.actors[1], now + 3 * NS_PER_MS);
	set_timer(&scene.actors[0], now + 30 * NS_PER_MS);
	set_timer(&scene.actors[2], now + 3 * NS_PER_MS);
	set_timer(&scene.actors[0], now + 1 * NS_PER_MS); /* moved */
	scene.actors[3].act = act_stop;
	assert_int_equal(loop_run(scene.loop), 0);
	assert_string_equal(scene.heard, "abcd");
	assert_true(clock_now_ns() >= now + 9 * NS_PER_MS);
	scene_close(&scene);
}

static void act_cancel_other(struct actor *self)
{
	loop_timer_cancel(self->scene->loop, &other_of(self)->timer);
	loop_stop(self->scene->loop);
}

/* Two due timers cancel each other: the second one isn't called though it was due. */
static void test_cancelled_due_timer(void **state)
{
	struct scene scene;

	(void)state;
	scene_open(&scene);
	for (int i = 0; i < 2; i++) {
		scene.actors[i].act = act_cancel_other;
		set_timer(&scene.actors[i], 1);
	}
	assert_int_equal(loop_run(scene.loop), 0);
	assert_string_equal(scene.heard, "a");
	assert_false(scene.actors[1].timer.active);
	scene_close(&scene);
}

static void act_again(struct actor *self)
{
	if (self->calls < 3)
		set_timer(self, 1);
}

static void act_stop_after_three(struct actor *self)
{
	if (self->calls == 3)
		loop_stop(self->scene->loop);
}

/* A timer that sets itself in the past is called once a round and starves nobody. */
static void test_past_deadline_is_next_round(void **state)
{
	struct scene scene;

	(void)state;
	scene_open(&scene);
	scene.actors[0].act = act_again;
	set_timer(&scene.actors[0], 0);
	scene.actors[1].act = act_stop_after_three;
	watch(&scene.actors[1]);
	kick(&scene.actors[1]); /* never drained: ready in every round */
	assert_int_equal(loop_run(scene.loop), 0);
	assert_string_equal(scene.heard, "bababa");
	scene_close(&scene);
}

static void *stop_soon(void *loop)
{
	usleep(5000);
	loop_stop(loop);
	return NULL;
}

static struct loop *signalled_loop;

static void on_alarm(int signum)
{
	(void)signum;
	loop_stop(signalled_loop);
}

static void test_stop(void **state)
{
	struct loop *loop;
	pthread_t thread;

	(void)state;
	assert_int_equal(loop_create(&loop), 0);
	loop_stop(loop); /* before it runs: the run ends at once */
	loop_stop(loop);
	assert_int_equal(loop_run(loop), 0);

	assert_int_equal(pthread_create(&thread, NULL, stop_soon, loop), 0);
	assert_int_equal(loop_run(loop), 0);
	pthread_join(thread, NULL);

	signalled_loop = loop;
	signal(SIGALRM, on_alarm);
	ualarm(5000, 0);
	assert_int_equal(loop_run(loop), 0);
	signal(SIGALRM, SIG_DFL);
	loop_destroy(loop);
	loop_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_removed_watch_is_not_called),
		cmocka_unit_test(test_replaced_watch_starts_afresh),
		cmocka_unit_test(test_watch_removes_itself),
		cmocka_unit_test(test_watch_change),
		cmocka_unit_test(test_watch_refused),
		cmocka_unit_test(test_timers_in_order),
		cmocka_unit_test(test_cancelled_due_timer),
		cmocka_unit_test(test_past_deadline_is_next_round),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests_name("lib_loop", tests, NULL, NULL);
}
