/* Pictures in, the network's input out: every picture through the same recipe. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/normalise.h"
#include "common/stage.h"
#include "preprocess/check.h"
#include "preprocess/choose.h"
#include "preprocess/prep.h"

static struct choice choice;
static const char *reference;
static double tolerance;
static bool print_recipe;

static const struct option_row options[] = {
	{ "recipe", 'r', OPTION_TEXT, "WORDS", &choice.recipe,
	  "the whole recipe, KEY=VALUE words with ';' between them", 0, 0 },
	{ "config", 'c', OPTION_TEXT, "FILE", &choice.config,
	  "take it from a JSON file (Hugging Face, timm, torchvision, {\"recipe\": \"…\"})", 0, 0 },
	{ "preset", 'p', OPTION_TEXT, "NAME", &choice.preset,
	  "imagenet, imagenet-inception, clip, timm-bicubic-0.95, keras-tf, …", 0, 0 },
	{ "roi", 0, OPTION_TEXT, "X,Y,W,H", &choice.roi,
	  "look only at this part of every picture, before all else", 0, 0 },
	{ "set", 's', OPTION_LIST, "WORDS", &choice.set,
	  "change single words of the recipe, such as layout=nhwc; may be given again", 0, 0 },
	{ "print-recipe", 0, OPTION_FLAG, NULL, &print_recipe,
	  "print the whole recipe in its canonical form, and end", 0, 0 },
	{ "check", 0, OPTION_TEXT, "REF.npy", &reference,
	  "compare with the array that the training code made of the same IMAGE", 0, 0 },
	{ "tolerance", 0, OPTION_REAL, "X", &tolerance, "largest difference that --check lets pass",
	  0, 1e9 },
	{ 0 },
};

static struct stage_spec spec = {
	.manual = {
		.name = "preprocess",
		.summary = "turn pictures into what the network was trained on",
		.operands = "[IMAGE…]",
		.description =
		    "Every picture goes through one recipe: region, colour, resize, crop or border, scale,\n"
		    "mean and std, layout, element type. Pixels are those that Pillow, torchvision and timm\n"
		    "make, to the bit. A picture that the recipe cannot work on becomes an error row.\n"
		    "\n"
		    "The recipe comes from --recipe, else from --config, else from the model (infer passes\n"
		    "up what stands beside it or in it), else from --preset: imagenet, imagenet-inception,\n"
		    "clip, timm-bicubic-0.95, keras-tf, keras-caffe or none. There is no default.\n"
		    "\n"
		    "A recipe is written\n"
		    "resize=short:256;interp=bilinear;antialias=1;crop=center:224x224;color=rgb;scale=1/255;\n"
		    "mean=0.485,0.456,0.406;std=0.229,0.224,0.225;layout=nchw;dtype=f32\n"
		    "\n"
		    "resize: none, stretch:WxH, short:SIDE, letterbox:WxH (pad=0..255 is its border).\n"
		    "interp: nearest, box, bilinear, hamming, bicubic, lanczos (Pillow's), opencv-linear.\n"
		    "crop: none, center:WxH (torchvision, timm), center-floor:WxH (Hugging Face).\n"
		    "color: rgb, bgr, gray. layout: nchw, nhwc. dtype: u8, f32. depth=16 keeps 16-bit samples. roi=X,Y,W,H or\n"
		    "roi=fraction:0.875. The value is (sample × scale − mean) ÷ std.",
		.examples =
		    "# the recipe comes from the model\n"
		    "capture photos/ | preprocess | infer -m model.onnx | sink results.db\n"
		    "# a model from Hugging Face\n"
		    "capture photos/ | preprocess -c preprocessor_config.json | infer -m model.onnx | sink r.db\n"
		    "# is it what training saw? (numpy.save('ref.npy', tensor) there)\n"
		    "preprocess --preset imagenet --check ref.npy photo.png",
		.exits = "1\t--check found a difference above --tolerance",
	},
	.options = options,
	.pulls = true,
	.pushes = true,
};

/* With --check this is the end of the pipeline: nothing is pushed. */
static bool asks_for_check(char **argv)
{
	for (; *argv && strcmp(*argv, "--") != 0; argv++)
		if (strcmp(*argv, "--check") == 0 || strncmp(*argv, "--check=", 8) == 0)
			return true;
	return false;
}

static int fail(struct stage **stage, const struct err *e)
{
	log_error("%s", e->text);
	return stage_close(stage, e->code);
}

static int show(struct stage **stage)
{
	char text[RECIPE_TEXT_MAX];
	struct recipe recipe;
	struct err e;

	if (choose_recipe(&recipe, &choice, NULL, &e) < 0)
		return fail(stage, &e);
	recipe_format(&recipe, text);
	puts(text);
	return stage_close(stage, 0);
}

static int check(struct stage **stage)
{
	struct recipe recipe;
	struct npy ref = { 0 };
	struct err e;
	char **images;
	int pid = 0, result = -1;

	if (stage_operands(*stage, &images) < 1)
		err_code(&e, EX_USAGE, "--check needs the IMAGE that '%s' was made of", reference);
	else if (choose_recipe(&recipe, &choice, NULL, &e) == 0 &&
		 npy_open(&ref, reference, &e) == 0 && check_source(images, &pid, &e) == 0)
		result = check_run(*stage, &recipe, &ref, tolerance, &e);
	npy_free(&ref);
	if (result < 0)
		log_error("%s", e.text);
	int code = stage_close(stage, result < 0 ? e.code : result);
	/* What capture could not do is why nothing came. */
	if (pid && check_source_end(pid, &e) < 0 && (code == 0 || code == EX_TEMPFAIL))
		code = e.code;
	return code;
}

/* 1 and *prep, 0 asked to stop before anybody said what they want, -1 with *e. */
static int prepare(struct stage *stage, struct prep **prep, struct err *e)
{
	char text[RECIPE_TEXT_MAX];
	struct recipe recipe;
	struct wants wants;

	if (choose_flags(&choice, e) < 0)
		return -1;
	int said = stage_wanted(stage, &wants, e);
	if (said < 1)
		return said;
	if (choose_recipe(&recipe, &choice, wants.recipe, e) < 0 ||
	    choose_check(&recipe, &wants, e) < 0)
		return -1;
	recipe_format(&recipe, text);
	if (*wants.recipe && strcmp(text, wants.recipe) != 0)
		log_warn("the model asks for another recipe: %s", wants.recipe);
	if (choose_ignores_preset(&choice, text))
		log_warn("--preset %s is not used: the model says its own recipe", choice.preset);
	log_info("recipe: %s", text);
	*prep = prep_new(&recipe, NULL);
	if (!*prep)
		return err_code(e, EX_TEMPFAIL, "no memory");
	if (wants.samples && normalise_apart(&recipe) && strcmp(text, wants.recipe) == 0) {
		log_info("the model's stage does scale, mean and std: it gets u8 samples");
		prep_samples(*prep);
	}
	if (wants.rank == 4)
		prep_expect(*prep, wants.shape);
	return 1;
}

int main(int argc, char **argv)
{
	spec.pushes = !asks_for_check(argv);
	spec.operands_most = spec.pushes ? 0 : -1;
	struct stage *stage = stage_open(&spec, argc, argv);
	struct prep *prep = NULL;
	struct frame *frame;
	struct err e;

	if (print_recipe)
		return show(&stage);
	if (reference)
		return check(&stage);
	if (prepare(stage, &prep, &e) < 0)
		return fail(&stage, &e);
	while (prep && stage_next(stage, &frame) == 1) {
		if (prep_apply(prep, frame, &e) < 0)
			stage_fail(stage, &frame, &e);
		else
			stage_send(stage, &frame);
	}
	prep_free(&prep);
	return stage_close(&stage, 0);
}
