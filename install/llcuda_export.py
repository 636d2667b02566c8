"""Saves a model that was fine-tuned with Unsloth, PEFT or transformers as one
folder that llcuda loads: %load FOLDER, or llcuda infer FOLDER.

    import llcuda_export                                # after unsloth, transformers, peft
    model.save_pretrained_llcuda("outputs/story", tokenizer)

or llcuda_export.save(model, "outputs/story", tokenizer). What is in the folder:

    method="adapter"    the adapter and the name of its base, which llcuda finds: a few
                        megabytes, the base as it is, 4-bit too. The default with PEFT.
    method="merged"     the whole model in 16 bits, with the adapter in its weights.
    method="model"      the model as it is, 4-bit weights too. The default without PEFT.

and always the tokenizer, with its chat template. The model is left as it was. A
folder appears when it is complete; one that is there is kept unless overwrite=True,
and one with folders in it always.
To get a GGUF file, in llcuda: %load outputs/story, then %export story.gguf --type q4_k_m.

Needs what made the model and nothing else. Part of llcuda (MIT licence); llcuda
export --python prints this file.
"""

import copy
import json
import os
import shutil
import tempfile

__all__ = ["save", "install"]

SHARD = 4 << 30  # bytes of weights in a file
METHODS = ("adapter", "merged", "model")


def save(model, directory, tokenizer=None, method=None, base=None, overwrite=False):
    """Saves model, and the tokenizer if there is one, in directory, and returns its path.

    base is the name or the folder of the base that goes into an adapter's
    folder, instead of the one that the model says it was made from.
    """
    adapted = hasattr(model, "peft_config")
    method = method or ("adapter" if adapted else "model")
    if method not in METHODS:
        raise ValueError(f"llcuda_export: method {method!r}: want one of {', '.join(METHODS)}")
    if method == "adapter" and not adapted:
        raise ValueError("llcuda_export: the model has no adapter of PEFT; method='model' saves it whole")
    if method == "model" and adapted:
        raise ValueError("llcuda_export: the model has an adapter; method='merged' saves both in one, 'adapter' the adapter")
    if base is not None and method != "adapter":
        raise ValueError("llcuda_export: base goes with method='adapter'")
    directory = os.path.abspath(os.path.expanduser(os.fspath(directory)))
    if os.path.lexists(directory) and not overwrite and not _empty(directory):
        raise FileExistsError(f"llcuda_export: {directory} is there already; overwrite=True replaces it")
    if folders := _folders(directory):  # what Trainer writes into its output_dir is gone with that
        raise FileExistsError(f"llcuda_export: {directory} has folders in it ({', '.join(folders[:3])}), and is not replaced; save to one beside them")
    active = getattr(model, "active_adapters", None)
    if method == "adapter" and isinstance(active, (list, tuple)) and len(active) > 1:
        raise ValueError(f"llcuda_export: several adapters are active ({', '.join(active)}); set_adapter chooses one, method='merged' saves all in one")
    os.makedirs(os.path.dirname(directory), exist_ok=True)
    part = tempfile.mkdtemp(prefix="." + os.path.basename(directory) + ".", suffix=".part", dir=os.path.dirname(directory))
    try:
        {"adapter": _adapter, "merged": _merged, "model": _model}[method](model, part, base)
        if tokenizer is not None:
            tokenizer.save_pretrained(part)
        os.chmod(part, 0o755)  # mkdtemp's is for secrets
        _replace(part, directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return directory


def _empty(directory):
    return os.path.isdir(directory) and not os.listdir(directory)


def _folders(directory):
    """The folders in a directory that no save wrote."""
    if not os.path.isdir(directory) or os.path.islink(directory):
        return []
    return sorted(e.name for e in os.scandir(directory) if e.is_dir() and e.name != "additional_chat_templates")


def _replace(part, directory):
    """Gives part its name; what had it is gone only when that is done."""
    old = None
    if os.path.lexists(directory):
        old = part + ".old"
        os.rename(directory, old)
    os.rename(part, directory)
    if old is not None:
        shutil.rmtree(old) if os.path.isdir(old) and not os.path.islink(old) else os.remove(old)


def _model(model, directory, _):
    model.save_pretrained(directory)


def _adapter(model, directory, base):
    model.save_pretrained(directory)
    name = getattr(model, "active_adapter", "default")
    name = name[0] if isinstance(name, (list, tuple)) else name
    # PEFT puts adapters that are not called default in a folder of their own.
    own = os.path.join(directory, name)
    if not os.path.exists(os.path.join(directory, "adapter_config.json")) and os.path.isdir(own):
        for entry in os.listdir(own):
            os.rename(os.path.join(own, entry), os.path.join(directory, entry))
    for entry in os.listdir(directory):
        if os.path.isdir(os.path.join(directory, entry)):
            shutil.rmtree(os.path.join(directory, entry))  # of the adapters that are not active
    path = os.path.join(directory, "adapter_config.json")
    with open(path, encoding="utf-8") as f:
        config = json.load(f)
    base = base or config.get("base_model_name_or_path")
    if not base:
        raise ValueError("llcuda_export: the adapter does not say what it was trained on; give base='org/name', or its folder")
    if os.path.isdir(os.path.expanduser(base)):
        base = os.path.abspath(os.path.expanduser(base))
    config["base_model_name_or_path"] = base
    with open(path, "w", encoding="utf-8") as f:
        json.dump(config, f, indent=2, sort_keys=True)


def _merged(model, directory, _):
    import torch

    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = copy.deepcopy(inner.config)
    if getattr(config, "quantization_config", None) is not None:
        del config.quantization_config
    dtype = getattr(config, "dtype", None) or getattr(config, "torch_dtype", None)
    if dtype not in (torch.float16, torch.bfloat16):
        dtype = torch.bfloat16
    for key in ("dtype", "torch_dtype"):
        if getattr(config, key, None) is not None:
            setattr(config, key, dtype)
    weights, untied = _weights(inner, dtype)
    if untied:
        for part in (config, config.get_text_config()):
            part.tie_word_embeddings = False
    _write(weights, directory, dtype)
    config.save_pretrained(directory)
    if getattr(inner, "generation_config", None) is not None:
        inner.generation_config.save_pretrained(directory)


def _weights(inner, dtype):
    """A list of (name, shape, function that makes the tensor), without adapters' own,
    and whether a head that was the embedding is something else now."""
    head = embedding = None
    if getattr(inner.config, "tie_word_embeddings", False):
        names = {m: n for n, m in inner.named_modules()}
        head, embedding = names.get(inner.get_output_embeddings()), names.get(inner.get_input_embeddings())
    layers = {n: m for n, m in inner.named_modules() if hasattr(m, "base_layer")}
    saved = {n: m for n, m in inner.named_modules() if hasattr(m, "modules_to_save") and hasattr(m, "original_module")}
    seen, all_ = set(), []

    def add(name, shape, make):
        if name not in seen:
            seen.add(name)
            all_.append((name, tuple(shape), lambda: make().detach().to("cpu", dtype).contiguous()))

    met = set()
    for name, parameter in inner.named_parameters(remove_duplicate=False):
        if id(parameter) in met and not (head and name.startswith(head + ".")):
            continue
        met.add(id(parameter))
        owner = next((o for o in layers if name.startswith(o + ".")), None)
        wrapped = next((o for o in saved if name.startswith(o + ".")), None)
        if wrapped is not None:
            rest = name[len(wrapped) + 1:].split(".")
            if rest[0] == "modules_to_save" and rest[1] == _active(saved[wrapped]):
                add(".".join([wrapped] + rest[2:]), parameter.shape, lambda p=parameter: _plain(p))
        elif owner is not None:
            layer = layers[owner]
            rest = name[len(owner) + 1:]
            if not rest.startswith("base_layer."):
                continue
            rest = rest[len("base_layer."):]
            if rest == "weight":
                add(owner + ".weight", _shape(parameter), lambda m=layer: _merge(m))
            else:
                add(owner + "." + rest, parameter.shape, lambda p=parameter: p)
        elif "lora_" not in name:
            add(name, _shape(parameter), lambda p=parameter: _plain(p))
    if not head or not embedding:
        return all_, False
    # Where one of the two was trained by itself (modules_to_save, target_modules),
    # both are needed; where neither was, or both as one, the head is not written.
    make = {name: make for name, _, make in all_}
    trained = any(n in layers or n in saved for n in (head, embedding))
    if trained and not make[head + ".weight"]().equal(make[embedding + ".weight"]()):
        return all_, True
    return [w for w in all_ if w[0] != head + ".weight"], False


def _active(module):
    name = getattr(module, "active_adapter", "default")
    return name[0] if isinstance(name, (list, tuple)) else name


def _shape(parameter):
    """The shape that a weight has when it is not packed."""
    state = getattr(parameter, "quant_state", None)
    return state.shape if state is not None else parameter.shape


def _plain(parameter):
    """A weight as floats."""
    state = getattr(parameter, "quant_state", None)
    if state is not None:
        from bitsandbytes.functional import dequantize_4bit

        return dequantize_4bit(parameter.data, state)
    if str(parameter.dtype) == "torch.int8":
        raise ValueError("llcuda_export: 8-bit weights cannot be merged here; save the adapter, and let llcuda merge: %load FOLDER --merge")
    return parameter


def _merge(layer):
    """The weight of a layer with its active adapters in it; the layer is as before."""
    import torch

    weight = layer.base_layer.weight
    if getattr(weight, "quant_state", None) is None and str(weight.dtype) != "torch.int8":
        if getattr(layer, "merged", False):
            return weight
        kept = weight.data
        try:
            weight.data = kept.to(torch.float32, copy=True)
            layer.merge()
            return weight.data
        finally:
            weight.data = kept
            layer.merged_adapters.clear()
    if any(getattr(layer, "use_dora", {}).values()):
        raise ValueError("llcuda_export: DoRA on packed weights cannot be merged here; save the adapter, and let llcuda merge: %load FOLDER --merge")
    whole = _plain(weight).to(torch.float32)
    for name in layer.active_adapters:
        whole = whole + layer.get_delta_weight(name).to(whole)
    return whole


def _write(weights, directory, dtype):
    """Writes weights as transformers does, a file at a time."""
    from safetensors.torch import save_file

    size = lambda shape: _count(shape) * 2
    files, room = [], 0
    for weight in weights:
        if size(weight[1]) > room:
            files.append([])
            room = SHARD
        room -= size(weight[1])
        files[-1].append(weight)
    index = {}
    for i, part in enumerate(files):
        file = "model.safetensors" if len(files) == 1 else f"model-{i + 1:05d}-of-{len(files):05d}.safetensors"
        save_file({name: make() for name, _, make in part}, os.path.join(directory, file), metadata={"format": "pt"})
        index.update({name: file for name, _, _ in part})
    if len(files) > 1:
        total = sum(size(shape) for _, shape, _ in weights)
        with open(os.path.join(directory, "model.safetensors.index.json"), "w", encoding="utf-8") as f:
            json.dump({"metadata": {"total_size": total}, "weight_map": index}, f, indent=2, sort_keys=True)


def _count(shape):
    n = 1
    for s in shape:
        n *= s
    return n


def install():
    """Gives the models of transformers and PEFT the method save_pretrained_llcuda."""
    try:
        from transformers import PreTrainedModel
    except ImportError:
        pass
    else:
        PreTrainedModel.save_pretrained_llcuda = save
    try:
        from peft import PeftModel
    except ImportError:
        pass
    else:
        PeftModel.save_pretrained_llcuda = save


install()
