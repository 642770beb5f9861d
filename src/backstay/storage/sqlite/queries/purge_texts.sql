-- Rewrite some pages of the text index without the traces of removed texts. A negative number begins with all of them.
INSERT INTO {schema}.conversation_text (conversation_text, rank)
VALUES ('merge', :pages)
