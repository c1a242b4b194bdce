"""The capabilities that drivers try, and what each of them asserts."""

WAYS = {
    "chat": "`/v1/chat/completions`",
    "messages": "`/v1/messages`",
    "responses": "`/v1/responses`",
    "compatible": "`/v1/chat/completions`, as a compatible server",
    "embeddings": "`/v1/embeddings`",
    "models": "`/v1/models`",
}

GROUPS: dict[str, dict[str, str]] = {
    "Text": {
        "text": "an answer arrives whole, word by word as the model gave it",
        "stream": "the pieces of a stream are several, and together the whole text",
        "usage": "tokens in and out are counted, in a stream too",
        "system": "the system prompt reaches the model",
        "history": "a conversation of 200 messages reaches the model whole",
        "late system": "a system message after the first turn is taken",
        "system only": "a conversation of a system prompt alone is taken",
        "other vendor": "the same on a model of the other vendor",
    },
    "Tools": {
        "tool loop": "the client runs the tool with the model's arguments, and the result reaches the model",
        "streamed tool loop": "the same in a stream",
        "tool runner": "the client's own loop around its tools",
        "parallel tools": "two calls of one turn, both results reach the model",
        "agent": "a loop of six turns",
        "invalid call": "a call that breaks the schema of a tool that is not strict reaches the client as it is",
        "cut call": "a call that the token limit cut ends as such",
        "tool fields": "the further fields of a tool that the client's types have are taken",
        "tools of the other vendor": "the streamed loop on a model of the other vendor",
    },
    "Structured output": {
        "schema": "an object of a schema, parsed by the client",
        "streamed schema": "the same in a stream",
        "json mode": "an object without a schema",
        "cut output": "an object that the token limit cut ends as such",
    },
    "Media and thinking": {
        "image": "the bytes of an image reach the model",
        "pdf": "the bytes of a PDF reach the model",
        "thinking": "thinking arrives with its signature, and goes back with the tool's result",
        "cache": "marks of the prompt cache reach the model; written and read tokens are reported",
        "long cache": "a mark with an hour's time counts as such",
    },
    "More": {
        "parameters": "further parameters of the vendor are taken: what the client sends by itself or offers",
        "choices": "several choices (`n`)",
        "logprobs": "log probabilities of tokens",
        "embeddings": "vectors of several texts",
        "models": "the list of models, and one of it",
        "count tokens": "the count of a prompt's tokens",
    },
    "Ends and errors": {
        "bad key": "a wrong key is the client's own error class",
        "unknown model": "a model that does not exist is the client's own error class",
        "context length": "a prompt that is too long for the model is reported as such",
        "cut text": "a text that the token limit cut ends as such",
        "abort": "a stream that the client leaves is left at the provider too",
    },
}
NAMES = {name for group in GROUPS.values() for name in group}
